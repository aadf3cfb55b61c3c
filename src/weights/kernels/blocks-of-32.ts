// The block types of 32 weights: one half-precision scale d, for `_1` types a minimum m, and 4, 5 or 8 bits a weight.
// Layout and formulas: ggml's ggml-common.h (block_q4_0 … block_q8_0) and the GGUF package's quants.py.

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
