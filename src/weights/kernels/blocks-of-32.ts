// The block types of 32 weights: one half-precision scale d, for `_1` types a minimum m, and 4, 5 or 8 bits a weight.
// Layout and formulas: ggml's ggml-common.h (block_q4_0 … block_q8_0, block_iq4_nl, block_mxfp4) and the GGUF package's quants.py.

import type { Blocks } from "./blocks.js";
import { halfValues } from "./half.js";

const WEIGHTS = 32;

const halfAt = (half: Float32Array, bytes: Uint8Array, at: number) => half[bytes[at]! | (bytes[at + 1]! << 8)]!;

/** Q8_0: d, then 32 signed bytes q; y = d·q. 34 bytes. */
export function unpackQ8_0(bytes: Uint8Array, { codes, scales }: Blocks): void {
  const half = halfValues();
  for (let block = 0, at = 0, to = 0; block < scales.length; block++, at += 34, to += WEIGHTS) {
    scales[block] = halfAt(half, bytes, at);
    for (let i = 0; i < WEIGHTS; i++) codes[to + i] = bytes[at + 2 + i]!;
  }
}

/** Q4_0: d, then 16 bytes; the low nibbles are weights 0–15, the high ones 16–31; y = d·(q − 8). 18 bytes. */
export function unpackQ4_0(bytes: Uint8Array, { codes, scales }: Blocks): void {
  const half = halfValues();
  for (let block = 0, at = 0, to = 0; block < scales.length; block++, at += 18, to += WEIGHTS) {
    scales[block] = halfAt(half, bytes, at);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 2 + i]!;
      codes[to + i] = (q & 15) - 8;
      codes[to + 16 + i] = (q >> 4) - 8;
    }
  }
}

/** Q4_1: d, m, then 16 bytes as in Q4_0; y = d·q + m. 20 bytes. */
export function unpackQ4_1(bytes: Uint8Array, { codes, scales, minimums }: Blocks): void {
  const half = halfValues();
  for (let block = 0, at = 0, to = 0; block < scales.length; block++, at += 20, to += WEIGHTS) {
    scales[block] = halfAt(half, bytes, at);
    minimums[block] = halfAt(half, bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 4 + i]!;
      codes[to + i] = q & 15;
      codes[to + 16 + i] = q >> 4;
    }
  }
}

/** Q5_0: d, 32 fifth bits (bit i belongs to weight i), then 16 bytes as in Q4_0; y = d·(q − 16). 22 bytes. */
export function unpackQ5_0(bytes: Uint8Array, { codes, scales }: Blocks): void {
  const half = halfValues();
  for (let block = 0, at = 0; block < scales.length; block++, at += 22) {
    scales[block] = halfAt(half, bytes, at);
    unpackFiveBits(bytes, at + 2, codes, block * WEIGHTS, 16);
  }
}

/** Q5_1: d, m, 32 fifth bits, then 16 bytes as in Q4_0; y = d·q + m. 24 bytes. */
export function unpackQ5_1(bytes: Uint8Array, { codes, scales, minimums }: Blocks): void {
  const half = halfValues();
  for (let block = 0, at = 0; block < scales.length; block++, at += 24) {
    scales[block] = halfAt(half, bytes, at);
    minimums[block] = halfAt(half, bytes, at + 2);
    unpackFiveBits(bytes, at + 4, codes, block * WEIGHTS, 0);
  }
}

function unpackFiveBits(bytes: Uint8Array, at: number, codes: Int8Array, to: number, zero: number): void {
  const high = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 4 + i]!;
    codes[to + i] = ((q & 15) | (((high >>> i) & 1) << 4)) - zero;
    codes[to + 16 + i] = ((q >> 4) | (((high >>> (16 + i)) & 1) << 4)) - zero;
  }
}

/** The sixteen values of IQ4_NL and IQ4_XS, closer together near zero (kvalues_iq4nl of ggml). */
export const NONLINEAR_VALUES = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** IQ4_NL: d, then 16 bytes as in Q4_0, which choose among 16 values; y = d·value. 18 bytes. */
export function unpackIQ4_NL(bytes: Uint8Array, { codes, scales }: Blocks): void {
  const half = halfValues();
  for (let block = 0, at = 0; block < scales.length; block++, at += 18) {
    scales[block] = halfAt(half, bytes, at);
    unpackChosen(bytes, at + 2, codes, block * WEIGHTS, NONLINEAR_VALUES);
  }
}

/** Twice the sixteen numbers of E2M1, a float of four bits (OCP Microscaling Formats 1.0, section 5.3.3). */
const E2M1_DOUBLED = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** MXFP4: an exponent e of eight bits, then 16 bytes as in Q4_0, floats of four bits; y = 2^(e − 128)·(2·float). 17 bytes. */
export function unpackMXFP4(bytes: Uint8Array, { codes, scales }: Blocks): void {
  for (let block = 0, at = 0; block < scales.length; block++, at += 17) {
    scales[block] = 2 ** (bytes[at]! - 128);
    unpackChosen(bytes, at + 1, codes, block * WEIGHTS, E2M1_DOUBLED);
  }
}

function unpackChosen(bytes: Uint8Array, at: number, codes: Int8Array, to: number, values: Int8Array): void {
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + i]!;
    codes[to + i] = values[q & 15]!;
    codes[to + 16 + i] = values[q >> 4]!;
  }
}
