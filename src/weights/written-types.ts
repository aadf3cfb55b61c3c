import { InputError } from "../errors.js";
import { packQ8_0 } from "./kernels/blocks-of-32.js";
import { encodeBF16, encodeF16 } from "./kernels/half.js";
import { type StoredType, storedFormats } from "./stored-types.js";

/** Types that weights are written in. */
export type WrittenType = Extract<StoredType, "F32" | "F16" | "BF16" | "Q8_0">;

/** Beyond it a half is infinite. */
const LARGEST_HALF = 65_504;

const encoders: Readonly<Record<WrittenType, (values: Float32Array) => Uint8Array>> = {
  F32: (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  F16: encodeF16,
  BF16: encodeBF16,
  Q8_0: packQ8_0,
};

/**
 * Weights as they are stored; of a type of blocks, whole blocks.
 *
 * @param where the tensor's name, for messages
 * @throws InputError where F16 would make a weight infinite.
 */
export function encodeValues(type: WrittenType, values: Float32Array, where: string): Uint8Array {
  if (values.length % storedFormats[type].weights !== 0)
    throw new RangeError(`${where}: ${values.length} weights are no whole blocks of ${type}`);
  if (type === "F16") refuseLarge(values, where);
  return encoders[type](values);
}

function refuseLarge(values: Float32Array, where: string): void {
  const large = values.find((value) => Number.isFinite(value) && Math.abs(value) > LARGEST_HALF);
  if (large === undefined) return;
  throw new InputError(
    `${where} holds ${large}, which is more than 16-bit floating point has (${LARGEST_HALF}). Write it with --dtype bf16 or f32.`,
  );
}
