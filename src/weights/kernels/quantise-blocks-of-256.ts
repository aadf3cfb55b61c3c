// Weights as super-blocks of 256, whose blocks of 32 or 16 have scales of 6 or 8 bits below one in half precision. Layouts as in
// blocks-of-256.ts. The search is our own: least squares for each block (fit-blocks.ts), then the best of the neighbouring whole numbers
// for its scale and minimum, so that the squared error of all weights alike is small. (ggml's weighs large weights more.)
import { type BlockCodes, blockCodes } from "./block-codes.js";
import { type FittedBlock, fitAboutZero, fitAboveMinimum } from "./fit-blocks.js";
import { halfBitsOf, halfValues } from "./half.js";
import { putHalf } from "./quantise-blocks-of-32.js";

const WEIGHTS = 256;
const SIX_BITS = 63;

export const packQ4_K = (values: Float32Array) => packAboveMinimums(values, blockCodes.Q4_K);
export const packQ5_K = (values: Float32Array) => packAboveMinimums(values, blockCodes.Q5_K);

/** A number as half precision keeps it. */
const rounded = (value: number): number => halfValues()[halfBitsOf(value)]!;

/** Q4_K and Q5_K: y = (d·scale)·q − dmin·minimum, for eight blocks of 32. */
function packAboveMinimums(values: Float32Array, { bytes: size, range: [, largest], pack }: BlockCodes): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array((values.length / WEIGHTS) * size);
  const codes = new Int8Array(WEIGHTS);
  const fitted = Array.from({ length: 8 }, (): FittedBlock => ({ scale: 0, minimum: 0 }));
  const [scales, minimums] = [new Uint8Array(8), new Uint8Array(8)];
  for (let from = 0, at = 0; from < values.length; from += WEIGHTS, at += size) {
    for (const [group, block] of fitted.entries()) fitAboveMinimum(values, from + 32 * group, 32, largest, codes, block);
    const d = rounded(Math.max(...fitted.map(({ scale }) => scale)) / SIX_BITS);
    const dmin = rounded(Math.max(...fitted.map(({ minimum }) => -minimum)) / SIX_BITS);
    for (const [group, block] of fitted.entries()) {
      const first = from + 32 * group;
      [scales[group], minimums[group]] = bestNeighbours(values, first, { d, dmin, largest }, block);
      roundAll(values, first, codes, 32 * group, 32, d * scales[group]!, -dmin * minimums[group]!, [0, largest]);
    }
    putHalf(bytes, at, d);
    putHalf(bytes, at + 2, dmin);
    packScales(scales, minimums, bytes, at + 4);
    pack(codes, 0, bytes, at);
  }
  return bytes;
}

interface Steps {
  readonly d: number;
  readonly dmin: number;
  readonly largest: number;
}

/**
 * The whole numbers for a block's scale and minimum, at or beside those that were fitted, of which the squared error is the least. Where a
 * scale is far coarser than the wanted one, another minimum fits than was found with that.
 */
function bestNeighbours(values: Float32Array, from: number, { d, dmin, largest }: Steps, wanted: FittedBlock): [number, number] {
  let [best, scale, minimum] = [Number.POSITIVE_INFINITY, 0, 0];
  for (const a of about(wanted.scale / d)) {
    for (const b of about(-fittedMinimum(values, from, d * a, wanted.minimum, largest) / dmin)) {
      const found = squaredError(values, from, 32, d * a, -dmin * b, largest);
      if (found < best) [best, scale, minimum] = [found, a, b];
    }
  }
  return [scale, minimum];
}

/** The nearest of the numbers that six bits have, and its neighbours; 0 for what is no number (0/0). */
function about(quotient: number): number[] {
  const nearest = Math.max(0, Math.min(SIX_BITS, Math.round(Number.isFinite(quotient) ? quotient : 0)));
  return [nearest, Math.max(0, nearest - 1), Math.min(SIX_BITS, nearest + 1)];
}

/** The minimum ≤ 0 that fits the numbers to which a scale rounds 32 weights, from a first guess of it. */
function fittedMinimum(values: Float32Array, from: number, scale: number, guess: number, largest: number): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let sum = 0;
  for (let i = from; i < from + 32; i++) {
    sum += values[i]! - scale * Math.max(0, Math.min(largest, Math.round((values[i]! - guess) * inverse)));
  }
  return Math.min(0, sum / 32);
}

function squaredError(values: Float32Array, from: number, count: number, scale: number, minimum: number, largest: number): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  let sum = 0;
  for (let i = from; i < from + count; i++) {
    const above = values[i]! - minimum;
    sum += (above - scale * Math.max(0, Math.min(largest, Math.round(above * inverse)))) ** 2;
  }
  return sum;
}

function roundAll(
  values: Float32Array,
  from: number,
  codes: Int8Array,
  to: number,
  count: number,
  scale: number,
  minimum: number,
  [least, most]: readonly [number, number],
): void {
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < count; i++) codes[to + i] = Math.max(least, Math.min(most, Math.round((values[from + i]! - minimum) * inverse)));
}

/** Eight 6-bit scales and eight 6-bit minimums in 12 bytes, as `unpackScales` takes them apart. */
function packScales(scales: Uint8Array, minimums: Uint8Array, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 4; i++) {
    const [scale, minimum] = [scales[4 + i]!, minimums[4 + i]!];
    bytes[at + i] = scales[i]! | ((scale >> 4) << 6);
    bytes[at + 4 + i] = minimums[i]! | ((minimum >> 4) << 6);
    bytes[at + 8 + i] = (scale & 15) | ((minimum & 15) << 4);
  }
}

/** Q6_K: y = (d·scale)·q, for sixteen blocks of 16, with scales of 8 bits and a sign. */
export function packQ6_K(values: Float32Array): Uint8Array<ArrayBuffer> {
  const { bytes: size, range, pack } = blockCodes.Q6_K;
  const bytes = new Uint8Array((values.length / WEIGHTS) * size);
  const codes = new Int8Array(WEIGHTS);
  for (let from = 0, at = 0; from < values.length; from += WEIGHTS, at += size) {
    const fitted = Array.from({ length: 16 }, (_, group) => fitAboutZero(values, from + 16 * group, 16));
    const furthest = fitted.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
    const d = rounded(furthest / -128);
    for (const [group, wanted] of fitted.entries()) {
      const first = from + 16 * group;
      const scale = bestSignedScale(values, first, d, wanted / d);
      bytes[at + 192 + group] = scale;
      roundAll(values, first, codes, 16 * group, 16, d * scale, 0, range);
    }
    putHalf(bytes, at + 208, d);
    pack(codes, 0, bytes, at);
  }
  return bytes;
}

/** How far from the fitted scale a block of sixteen is tried: so few weights fit one step by chance better than another. */
const STEPS_ASIDE = 4;

/** The whole number about a quotient for which rounding to d·scale·q, q in −32 … 31, loses least. */
function bestSignedScale(values: Float32Array, from: number, d: number, quotient: number): number {
  let [best, found] = [Number.POSITIVE_INFINITY, 0];
  const nearest = Number.isFinite(quotient) ? Math.round(quotient) : 0;
  for (let aside = -STEPS_ASIDE; aside <= STEPS_ASIDE; aside++) {
    const scale = Math.max(-128, Math.min(127, nearest + aside));
    const step = d * scale;
    const inverse = step === 0 ? 0 : 1 / step;
    let error = 0;
    for (let i = from; i < from + 16; i++) {
      error += (values[i]! - step * Math.max(-32, Math.min(31, Math.round(values[i]! * inverse)))) ** 2;
    }
    if (error < best) [best, found] = [error, scale];
  }
  return found;
}
