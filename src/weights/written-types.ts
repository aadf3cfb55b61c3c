import { InputError } from "../errors.js";
import { encodeBF16, encodeF16 } from "./kernels/half.js";
import { packQ4_0, packQ4_1, packQ5_0, packQ5_1, packQ8_0 } from "./kernels/quantise-blocks-of-32.js";
import { packQ4_K, packQ5_K, packQ6_K } from "./kernels/quantise-blocks-of-256.js";
import { type StoredType, storedFormats } from "./stored-types.js";

const encoders = {
  F32: (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  F16: encodeF16,
  BF16: encodeBF16,
  Q8_0: packQ8_0,
  Q4_0: packQ4_0,
  Q4_1: packQ4_1,
  Q5_0: packQ5_0,
  Q5_1: packQ5_1,
  Q4_K: packQ4_K,
  Q5_K: packQ5_K,
  Q6_K: packQ6_K,
} as const satisfies Partial<Record<StoredType, (values: Float32Array) => Uint8Array>>;

/** Types that weights are written in. */
export type WrittenType = keyof typeof encoders;

/** Whether weights can be written in a type that they can be read in. */
export const isWrittenType = (type: StoredType): type is WrittenType => Object.hasOwn(encoders, type);

/** Beyond it a half is infinite. */
const LARGEST_HALF = 65_504;

/**
 * Weights as they are stored; of a type of blocks, whole blocks.
 *
 * @param where the tensor's name, for messages
 * @throws InputError where F16 would make a weight infinite, or a block of a weight that is no number would be no numbers at all.
 */
export function encodeValues(type: WrittenType, values: Float32Array, where: string): Uint8Array {
  const { weights } = storedFormats[type];
  if (values.length % weights !== 0) throw new RangeError(`${where}: ${values.length} weights are no whole blocks of ${type}`);
  if (type === "F16") refuseLarge(values, where);
  if (weights > 1) refuseInfinite(type, values, where);
  return encoders[type](values);
}

function refuseLarge(values: Float32Array, where: string): void {
  const large = values.find((value) => Number.isFinite(value) && Math.abs(value) > LARGEST_HALF);
  if (large === undefined) return;
  throw new InputError(
    `${where} holds ${large}, which is more than 16-bit floating point has (${LARGEST_HALF}). Write it with --dtype bf16 or f32.`,
  );
}

function refuseInfinite(type: WrittenType, values: Float32Array, where: string): void {
  const bad = values.find((value) => !Number.isFinite(value));
  if (bad === undefined) return;
  throw new InputError(`${where} holds ${bad}, which the blocks of ${type} cannot: write it with --dtype f16, bf16 or f32.`);
}
