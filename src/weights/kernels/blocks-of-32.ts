// The block types of 32 weights: one half-precision scale d, for `_1` types a minimum m, and 4, 5 or 8 bits a weight.
// Layout and formulas: ggml's ggml-common.h (block_q4_0 … block_q8_0) and the GGUF package's quants.py.
// Products are rounded to float32 where the reference rounds, so results are equal bit for bit.

import { halfValues } from "./half.js";

const fround = Math.fround;
const WEIGHTS = 32;

/** Q8_0: d, then 32 signed bytes q; y = d·q. 34 bytes. */
export function convertQ8_0(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 34, to += WEIGHTS) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < WEIGHTS; i++) out[to + i] = d * ((bytes[at + 2 + i]! << 24) >> 24);
  }
}

/** Q4_0: d, then 16 bytes; the low nibbles are weights 0–15, the high ones 16–31; y = d·(q − 8). 18 bytes. */
export function convertQ4_0(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 18, to += WEIGHTS) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 2 + i]!;
      out[to + i] = d * ((q & 15) - 8);
      out[to + 16 + i] = d * ((q >> 4) - 8);
    }
  }
}

/** Q4_1: d, m, then 16 bytes as in Q4_0; y = d·q + m. 20 bytes. */
export function convertQ4_1(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 20, to += WEIGHTS) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 4 + i]!;
      out[to + i] = fround(d * (q & 15)) + m;
      out[to + 16 + i] = fround(d * (q >> 4)) + m;
    }
  }
}

/** Q5_0: d, 32 fifth bits (bit i belongs to weight i), then 16 bytes as in Q4_0; y = d·(q − 16). 22 bytes. */
export function convertQ5_0(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 22, to += WEIGHTS) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const high = bytes[at + 2]! | (bytes[at + 3]! << 8) | (bytes[at + 4]! << 16) | (bytes[at + 5]! << 24);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 6 + i]!;
      out[to + i] = d * (((q & 15) | (((high >>> i) & 1) << 4)) - 16);
      out[to + 16 + i] = d * (((q >> 4) | (((high >>> (16 + i)) & 1) << 4)) - 16);
    }
  }
}

/** Q5_1: d, m, 32 fifth bits, then 16 bytes as in Q4_0; y = d·q + m. 24 bytes. */
export function convertQ5_1(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 24, to += WEIGHTS) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    const high = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 8 + i]!;
      out[to + i] = fround(d * ((q & 15) | (((high >>> i) & 1) << 4))) + m;
      out[to + 16 + i] = fround(d * ((q >> 4) | (((high >>> (16 + i)) & 1) << 4))) + m;
    }
  }
}
