// Weights as blocks of 32, bit for bit what the GGUF package makes of them, all in single precision.     gguf-py: quants.py, quantize_blocks
import { type BlockCodes, blockCodes } from "./block-codes.js";
import { halfBitsOf } from "./half.js";

const WEIGHTS = 32;
const fround = Math.fround;

/** What becomes of one block: its numbers are written, its scale and, where there is one, its minimum are given back. */
type Round = (values: Float32Array, from: number, codes: Int8Array) => { readonly scale: number; readonly minimum?: number };

/** d = max|y| / 127, and y/d rounded, halves away from zero. */
export const packQ8_0 = (values: Float32Array) => quantise(values, blockCodes.Q8_0, roundToBytes);
/** d = y/−8 of the y that is furthest from zero, and y/d + 8.5 cut off. */
export const packQ4_0 = (values: Float32Array) => quantise(values, blockCodes.Q4_0, roundAboutZero(8));
/** The same with y/−16. */
export const packQ5_0 = (values: Float32Array) => quantise(values, blockCodes.Q5_0, roundAboutZero(16));
/** m = min y, d = (max y − m) / 15, and (y − m)/d + 0.5 cut off. */
export const packQ4_1 = (values: Float32Array) => quantise(values, blockCodes.Q4_1, roundAboveMinimum(15));
/** The same with (max y − m) / 31. */
export const packQ5_1 = (values: Float32Array) => quantise(values, blockCodes.Q5_1, roundAboveMinimum(31));

function quantise(values: Float32Array, { bytes: size, pack }: BlockCodes, round: Round): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array((values.length / WEIGHTS) * size);
  const codes = new Int8Array(WEIGHTS);
  for (let from = 0, at = 0; from < values.length; from += WEIGHTS, at += size) {
    const { scale, minimum } = round(values, from, codes.fill(0));
    putHalf(bytes, at, scale);
    if (minimum !== undefined) putHalf(bytes, at + 2, minimum);
    pack(codes, 0, bytes, at);
  }
  return bytes;
}

/** A number in half precision, little-endian. */
export function putHalf(bytes: Uint8Array, at: number, value: number): void {
  const bits = halfBitsOf(value);
  bytes[at] = bits;
  bytes[at + 1] = bits >>> 8;
}

/** 1/d; 0 where d is 0, or so small that it is 0 in half precision, and the block with it. */
function inverseOf(scale: number): number {
  const inverse = scale === 0 ? 0 : fround(1 / scale);
  return Number.isFinite(inverse) ? inverse : 0;
}

function roundToBytes(values: Float32Array, from: number, codes: Int8Array): { scale: number } {
  let largest = 0;
  for (let i = 0; i < WEIGHTS; i++) largest = Math.max(largest, Math.abs(values[from + i]!));
  const scale = fround(largest / 127);
  const inverse = inverseOf(scale);
  for (let i = 0; i < WEIGHTS; i++) {
    const quotient = fround(values[from + i]! * inverse);
    codes[i] = Math.sign(quotient) * Math.floor(Math.abs(quotient) + 0.5);
  }
  return { scale };
}

function roundAboutZero(zero: number): Round {
  return (values, from, codes) => {
    let furthest = values[from]!;
    for (let i = 1; i < WEIGHTS; i++) if (Math.abs(values[from + i]!) > Math.abs(furthest)) furthest = values[from + i]!;
    const scale = fround(furthest / -zero);
    const inverse = inverseOf(scale);
    for (let i = 0; i < WEIGHTS; i++) {
      const raised = Math.trunc(fround(fround(values[from + i]! * inverse) + fround(zero + 0.5)));
      codes[i] = Math.min(2 * zero - 1, raised) - zero;
    }
    return { scale };
  };
}

function roundAboveMinimum(largest: number): Round {
  return (values, from, codes) => {
    let [minimum, maximum] = [values[from]!, values[from]!];
    for (let i = 1; i < WEIGHTS; i++) {
      minimum = Math.min(minimum, values[from + i]!);
      maximum = Math.max(maximum, values[from + i]!);
    }
    const scale = fround(fround(maximum - minimum) / largest);
    const inverse = inverseOf(scale);
    for (let i = 0; i < WEIGHTS; i++) {
      const above = fround(fround(values[from + i]! - minimum) * inverse);
      codes[i] = Math.min(largest, Math.trunc(fround(above + 0.5)));
    }
    return { scale, minimum };
  };
}
