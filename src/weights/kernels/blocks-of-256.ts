// The "K" block types: super-blocks of 256 weights with scales that are themselves quantised.
// Layout and formulas: ggml's ggml-common.h (block_q4_K, block_q5_K, block_q6_K) and the GGUF package's quants.py.
// Products are rounded to float32 where the reference rounds, so results are equal bit for bit.

import { halfValues } from "./half.js";

const fround = Math.fround;
const WEIGHTS = 256;

/**
 * Unpacks the eight 6-bit scales and eight 6-bit minimums that Q4_K and Q5_K keep in 12 bytes: the first four of each
 * in the low bits of bytes 0–3 and 4–7, the last four in the nibbles of bytes 8–11 with their top bits above the first ones.
 */
function unpackScales(bytes: Uint8Array, at: number, scales: Uint8Array, minimums: Uint8Array): void {
  for (let i = 0; i < 4; i++) {
    const s = bytes[at + i]!;
    const m = bytes[at + 4 + i]!;
    const both = bytes[at + 8 + i]!;
    scales[i] = s & 63;
    minimums[i] = m & 63;
    scales[4 + i] = (both & 15) | ((s >> 2) & 48);
    minimums[4 + i] = (both >> 4) | ((m >> 2) & 48);
  }
}

/** Q4_K: d, dmin, 12 bytes of scales, 128 bytes of nibbles; y = (d·scale)·q − dmin·minimum, per 32 weights. 144 bytes. */
export function convertQ4_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  const scales = new Uint8Array(8);
  const minimums = new Uint8Array(8);
  for (let at = 0, to = 0; to < out.length; at += 144, to += WEIGHTS) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const dmin = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    unpackScales(bytes, at + 4, scales, minimums);
    for (let group = 0; group < 8; group++) {
      const scale = fround(d * scales[group]!);
      const minimum = fround(dmin * minimums[group]!);
      const from = at + 16 + (group >> 1) * 32; // two groups share 32 bytes: low nibbles, then high
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) out[to + group * 32 + i] = fround(scale * ((bytes[from + i]! >> shift) & 15)) - minimum;
    }
  }
}

/** Q5_K: as Q4_K with 32 bytes of fifth bits (bit `group` of byte i) before the nibbles. 176 bytes. */
export function convertQ5_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  const scales = new Uint8Array(8);
  const minimums = new Uint8Array(8);
  for (let at = 0, to = 0; to < out.length; at += 176, to += WEIGHTS) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const dmin = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    unpackScales(bytes, at + 4, scales, minimums);
    for (let group = 0; group < 8; group++) {
      const scale = fround(d * scales[group]!);
      const minimum = fround(dmin * minimums[group]!);
      const from = at + 48 + (group >> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const q = ((bytes[from + i]! >> shift) & 15) | (((bytes[at + 16 + i]! >> group) & 1) << 4);
        out[to + group * 32 + i] = fround(scale * q) - minimum;
      }
    }
  }
}

/**
 * Q6_K: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, d; y = (d·scale)·(q − 32), a scale per
 * 16 weights. In each half of 128 weights the four runs of 32 share 64 nibble bytes and 32 pair bytes. 210 bytes.
 */
export function convertQ6_K(bytes: Uint8Array, out: Float32Array): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < out.length; at += 210, to += WEIGHTS) {
    const d = half[bytes[at + 208]! | (bytes[at + 209]! << 8)]!;
    for (let group = 0; group < 16; group++) {
      const scale = fround(d * ((bytes[at + 192 + group]! << 24) >> 24));
      const run = group >> 1; // of 32 weights, eight in a block
      const side = run >> 2;
      const low = at + side * 64 + (run & 1) * 32 + (group & 1) * 16;
      const lowShift = ((run >> 1) & 1) * 4;
      const high = at + 128 + side * 32 + (group & 1) * 16;
      const highShift = (run & 3) * 2;
      for (let i = 0; i < 16; i++) {
        const q = ((bytes[low + i]! >> lowShift) & 15) | (((bytes[high + i]! >> highShift) & 3) << 4);
        out[to + group * 16 + i] = scale * (q - 32);
      }
    }
  }
}
