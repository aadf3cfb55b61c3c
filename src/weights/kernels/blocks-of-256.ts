// The "K" block types: super-blocks of 256 weights with scales that are themselves quantised.
// Layout and formulas: ggml's ggml-common.h (block_q2_K … block_q6_K, block_iq4_xs) and the GGUF package's quants.py.
// Their products are scales in float32 for blocks of 32 or 16 weights.

import type { Blocks } from "./blocks.js";
import { NONLINEAR_VALUES } from "./blocks-of-32.js";
import { halfValues } from "./half.js";

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
export function unpackQ4_K(bytes: Uint8Array, blocks: Blocks): void {
  for (let at = 0, to = 0; to < blocks.codes.length; at += 144, to += WEIGHTS) {
    unpackSuperBlock(bytes, at, blocks, to);
    for (let group = 0; group < 8; group++) unpackNibbles(bytes, at + 16, group, blocks.codes, to);
  }
}

/** Q5_K: as Q4_K with 32 bytes of fifth bits (bit `group` of byte i) before the nibbles. 176 bytes. */
export function unpackQ5_K(bytes: Uint8Array, blocks: Blocks): void {
  const { codes } = blocks;
  for (let at = 0, to = 0; to < codes.length; at += 176, to += WEIGHTS) {
    unpackSuperBlock(bytes, at, blocks, to);
    for (let group = 0; group < 8; group++) {
      unpackNibbles(bytes, at + 48, group, codes, to);
      for (let i = 0; i < 32; i++) codes[to + group * 32 + i]! |= ((bytes[at + 16 + i]! >> group) & 1) << 4;
    }
  }
}

/** The scales and minimums of the eight blocks of 32. */
function unpackSuperBlock(bytes: Uint8Array, at: number, { scales, minimums }: Blocks, to: number): void {
  const half = halfValues();
  const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
  const dmin = half[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
  unpackScales(bytes, at + 4, sixBits.scales, sixBits.minimums);
  for (let group = 0; group < 8; group++) {
    scales[to / 32 + group] = d * sixBits.scales[group]!;
    minimums[to / 32 + group] = -dmin * sixBits.minimums[group]!;
  }
}

const sixBits = { scales: new Uint8Array(8), minimums: new Uint8Array(8) };

/** The nibbles of one group of 32: two groups share 32 bytes, low nibbles, then high. */
function unpackNibbles(bytes: Uint8Array, at: number, group: number, codes: Int8Array, to: number): void {
  const from = at + (group >> 1) * 32;
  const shift = (group & 1) * 4;
  for (let i = 0; i < 32; i++) codes[to + group * 32 + i] = (bytes[from + i]! >> shift) & 15;
}

/**
 * Q6_K: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, d; y = (d·scale)·(q − 32), a scale per
 * 16 weights. In each half of 128 weights the four runs of 32 share 64 nibble bytes and 32 pair bytes. 210 bytes.
 */
export function unpackQ6_K(bytes: Uint8Array, { codes, scales }: Blocks): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < codes.length; at += 210, to += WEIGHTS) {
    const d = half[bytes[at + 208]! | (bytes[at + 209]! << 8)]!;
    for (let group = 0; group < 16; group++) {
      scales[to / 16 + group] = d * ((bytes[at + 192 + group]! << 24) >> 24);
      const run = group >> 1; // of 32 weights, eight in a block
      const side = run >> 2;
      const low = at + side * 64 + (run & 1) * 32 + (group & 1) * 16;
      const lowShift = ((run >> 1) & 1) * 4;
      const high = at + 128 + side * 32 + (group & 1) * 16;
      const highShift = (run & 3) * 2;
      for (let i = 0; i < 16; i++) {
        codes[to + group * 16 + i] = (((bytes[low + i]! >> lowShift) & 15) | (((bytes[high + i]! >> highShift) & 3) << 4)) - 32;
      }
    }
  }
}

/**
 * Q2_K: 16 bytes with a 4-bit scale and a 4-bit minimum for 16 weights each, 64 bytes of bit pairs, d, dmin;
 * y = (d·scale)·q − dmin·minimum. In each half of 128 weights the four runs of 32 share 32 bytes. 84 bytes.
 */
export function unpackQ2_K(bytes: Uint8Array, { codes, scales, minimums }: Blocks): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < codes.length; at += 84, to += WEIGHTS) {
    const d = half[bytes[at + 80]! | (bytes[at + 81]! << 8)]!;
    const dmin = half[bytes[at + 82]! | (bytes[at + 83]! << 8)]!;
    for (let group = 0; group < 16; group++) {
      const both = bytes[at + group]!;
      scales[to / 16 + group] = d * (both & 15);
      minimums[to / 16 + group] = -dmin * (both >> 4);
      unpackPairs(bytes, at + 16, group, codes, to);
    }
  }
}

/**
 * Q3_K: 32 bytes of upper bits, 64 bytes of lower bit pairs as in Q2_K, sixteen 6-bit scales in 12 bytes, d;
 * y = d·(scale − 32)·(q − 4), a scale per 16 weights. Bit `run` of an upper byte belongs to one of eight runs of 32. 110 bytes.
 */
export function unpackQ3_K(bytes: Uint8Array, { codes, scales }: Blocks): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < codes.length; at += 110, to += WEIGHTS) {
    const d = half[bytes[at + 108]! | (bytes[at + 109]! << 8)]!;
    for (let group = 0; group < 16; group++) {
      const low = (bytes[at + 96 + (group & 7)]! >> ((group >> 3) * 4)) & 15;
      const high = (bytes[at + 104 + (group & 3)]! >> ((group >> 2) * 2)) & 3;
      scales[to / 16 + group] = d * ((low | (high << 4)) - 32);
      unpackPairs(bytes, at + 32, group, codes, to);
      const run = group >> 1;
      for (let i = 0; i < 16; i++) {
        const upper = (bytes[at + (group & 1) * 16 + i]! >> run) & 1;
        codes[to + group * 16 + i]! -= 4 * (1 - upper);
      }
    }
  }
}

/** The bit pairs of one group of 16: in each half of 128 weights the four runs of 32 share 32 bytes. */
function unpackPairs(bytes: Uint8Array, at: number, group: number, codes: Int8Array, to: number): void {
  const from = at + (group >> 3) * 32 + (group & 1) * 16;
  const shift = ((group >> 1) & 3) * 2;
  for (let i = 0; i < 16; i++) codes[to + group * 16 + i] = (bytes[from + i]! >> shift) & 3;
}

/**
 * IQ4_XS: d, two upper bits and then four lower bits of eight scales, 128 bytes of nibbles, which choose among 16 values;
 * y = d·(scale − 32)·value, a scale per 32 weights. 136 bytes.
 */
export function unpackIQ4_XS(bytes: Uint8Array, { codes, scales }: Blocks): void {
  const half = halfValues();
  for (let at = 0, to = 0; to < codes.length; at += 136, to += WEIGHTS) {
    const d = half[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const upper = bytes[at + 2]! | (bytes[at + 3]! << 8);
    for (let group = 0; group < 8; group++) {
      const lower = (bytes[at + 4 + (group >> 1)]! >> ((group & 1) * 4)) & 15;
      scales[to / 32 + group] = d * ((lower | (((upper >> (2 * group)) & 3) << 4)) - 32);
      for (let i = 0; i < 16; i++) {
        const both = bytes[at + 8 + group * 16 + i]!;
        codes[to + group * 32 + i] = NONLINEAR_VALUES[both & 15]!;
        codes[to + group * 32 + 16 + i] = NONLINEAR_VALUES[both >> 4]!;
      }
    }
  }
}
