import type { StoredType } from "./stored-types.js";

/** Bits of the fraction, and the exponent of the smallest normal number. */
const fractions: Partial<Readonly<Record<StoredType, readonly [bits: number, least: number]>>> = {
  F32: [23, -126],
  BF16: [7, -126],
  F16: [10, -14],
};

/** How far a number up to a size is at most from what a type of floating point rounds it to; undefined for blocks. */
export function halfStep(type: StoredType, size: number): number | undefined {
  const format = fractions[type];
  if (format === undefined) return undefined;
  const [bits, least] = format;
  return 2 ** (Math.max(least, Math.floor(Math.log2(size))) - bits - 1);
}
