import { convertQ4_0, convertQ4_1, convertQ5_0, convertQ5_1, convertQ8_0 } from "./kernels/blocks-of-32.js";
import { convertQ4_K, convertQ5_K, convertQ6_K } from "./kernels/blocks-of-256.js";
import { convertBF16, convertF16, convertF32 } from "./kernels/half.js";

/** How the numbers of a tensor are stored. Names as safetensors and GGUF write them. */
export type StoredType = "F32" | "F16" | "BF16" | "Q8_0" | "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1" | "Q4_K" | "Q5_K" | "Q6_K";

/** A stored type: weights and bytes of one block, and how blocks become float32 (`out.length` is a whole number of blocks). */
interface BlockFormat {
  readonly weights: number;
  readonly bytes: number;
  readonly convert: (bytes: Uint8Array, out: Float32Array) => void;
}

export const blockFormats: Readonly<Record<StoredType, BlockFormat>> = {
  F32: { weights: 1, bytes: 4, convert: convertF32 },
  F16: { weights: 1, bytes: 2, convert: convertF16 },
  BF16: { weights: 1, bytes: 2, convert: convertBF16 },
  Q8_0: { weights: 32, bytes: 34, convert: convertQ8_0 },
  Q4_0: { weights: 32, bytes: 18, convert: convertQ4_0 },
  Q4_1: { weights: 32, bytes: 20, convert: convertQ4_1 },
  Q5_0: { weights: 32, bytes: 22, convert: convertQ5_0 },
  Q5_1: { weights: 32, bytes: 24, convert: convertQ5_1 },
  Q4_K: { weights: 256, bytes: 144, convert: convertQ4_K },
  Q5_K: { weights: 256, bytes: 176, convert: convertQ5_K },
  Q6_K: { weights: 256, bytes: 210, convert: convertQ6_K },
};

/** The stored types' names, for messages. */
export const storedTypeNames: readonly string[] = Object.keys(blockFormats);

export function isStoredType(name: string): name is StoredType {
  return Object.hasOwn(blockFormats, name);
}

/** Bytes that `count` weights of a type take, or undefined where they are no whole number of blocks. */
export function storedByteLength(type: StoredType, count: number): number | undefined {
  const { weights, bytes } = blockFormats[type];
  return count % weights === 0 ? (count / weights) * bytes : undefined;
}

/** Float32 values of `count` stored weights. */
export function dequantise(type: StoredType, bytes: Uint8Array, count: number): Float32Array<ArrayBuffer> {
  const needed = storedByteLength(type, count);
  if (needed === undefined || bytes.byteLength < needed) {
    throw new RangeError(`${count} weights of type ${type} need ${needed ?? "whole blocks of"} bytes, ${bytes.byteLength} were given`);
  }
  const out = new Float32Array(count);
  blockFormats[type].convert(bytes, out);
  return out;
}
