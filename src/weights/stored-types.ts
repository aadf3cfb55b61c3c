import { type Blocks, blocksToFloat, emptyBlocks } from "./kernels/blocks.js";
import { unpackIQ4_NL, unpackMXFP4, unpackQ4_0, unpackQ4_1, unpackQ5_0, unpackQ5_1, unpackQ8_0 } from "./kernels/blocks-of-32.js";
import { unpackIQ4_XS, unpackQ2_K, unpackQ3_K, unpackQ4_K, unpackQ5_K, unpackQ6_K } from "./kernels/blocks-of-256.js";
import { convertBF16, convertF16, convertF32 } from "./kernels/half.js";

/** How the numbers of a tensor are stored. Names as safetensors and GGUF write them. */
export type StoredType = FloatType | BlockType;
type FloatType = "F32" | "F16" | "BF16";
type BlockType =
  | "Q8_0"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "IQ4_NL"
  | "MXFP4" // 32 weights
  | "Q2_K"
  | "Q3_K"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K"
  | "IQ4_XS"; // 256 weights

/** Whole numbers of a quantised weight: 4 bits with or without a sign, or 8 with one. */
export type CodeType = "int4" | "uint4" | "int8";

/** How a quantised type keeps its weights, y = d·q + m. */
export interface BlockForm {
  /** Weights that share a scale. */
  readonly size: number;
  readonly codes: CodeType;
  readonly hasMinimums: boolean;
  readonly unpack: (bytes: Uint8Array, blocks: Blocks) => void;
}

/** A stored type: weights and bytes of what it stores together, and how that becomes float32. */
interface StoredFormat {
  readonly weights: number;
  readonly bytes: number;
  readonly form: BlockForm | ((bytes: Uint8Array, out: Float32Array) => void);
}

const blocks = (size: number, codes: CodeType, hasMinimums: boolean, unpack: BlockForm["unpack"]): BlockForm => ({
  size,
  codes,
  hasMinimums,
  unpack,
});

export const storedFormats: Readonly<Record<StoredType, StoredFormat>> = {
  F32: { weights: 1, bytes: 4, form: convertF32 },
  F16: { weights: 1, bytes: 2, form: convertF16 },
  BF16: { weights: 1, bytes: 2, form: convertBF16 },
  Q8_0: { weights: 32, bytes: 34, form: blocks(32, "int8", false, unpackQ8_0) },
  Q4_0: { weights: 32, bytes: 18, form: blocks(32, "int4", false, unpackQ4_0) },
  Q4_1: { weights: 32, bytes: 20, form: blocks(32, "uint4", true, unpackQ4_1) },
  Q5_0: { weights: 32, bytes: 22, form: blocks(32, "int8", false, unpackQ5_0) },
  Q5_1: { weights: 32, bytes: 24, form: blocks(32, "int8", true, unpackQ5_1) },
  IQ4_NL: { weights: 32, bytes: 18, form: blocks(32, "int8", false, unpackIQ4_NL) },
  MXFP4: { weights: 32, bytes: 17, form: blocks(32, "int8", false, unpackMXFP4) },
  Q2_K: { weights: 256, bytes: 84, form: blocks(16, "uint4", true, unpackQ2_K) },
  Q3_K: { weights: 256, bytes: 110, form: blocks(16, "int4", false, unpackQ3_K) },
  Q4_K: { weights: 256, bytes: 144, form: blocks(32, "uint4", true, unpackQ4_K) },
  Q5_K: { weights: 256, bytes: 176, form: blocks(32, "int8", true, unpackQ5_K) },
  Q6_K: { weights: 256, bytes: 210, form: blocks(16, "int8", false, unpackQ6_K) },
  IQ4_XS: { weights: 256, bytes: 136, form: blocks(32, "int8", false, unpackIQ4_XS) },
};

/** The stored types' names, for messages. */
export const storedTypeNames: readonly string[] = Object.keys(storedFormats);

/** True for a type of GGUF whose tensors can be read. */
export function isStoredType(name: string): name is StoredType {
  return Object.hasOwn(storedFormats, name);
}

/** Bytes that `count` weights of a type take, or undefined where they are no whole number of blocks. */
export function storedByteLength(type: StoredType, count: number): number | undefined {
  const { weights, bytes } = storedFormats[type];
  return count % weights === 0 ? (count / weights) * bytes : undefined;
}

/** Float32 values of `count` stored weights. */
export function dequantise(type: StoredType, bytes: Uint8Array, count: number): Float32Array<ArrayBuffer> {
  checkBytes(type, bytes, count);
  const out = new Float32Array(count);
  const { form } = storedFormats[type];
  if (typeof form === "function") form(bytes, out);
  else blocksToFloat(unpackBlocks(form, bytes, count), form.size, out);
  return out;
}

/** The form of a quantised type; undefined for floating point. */
export function blockForm(type: StoredType): BlockForm | undefined {
  const { form } = storedFormats[type];
  return typeof form === "function" ? undefined : form;
}

/** `count` weights as the numbers, scales and minimums that are stored. */
export function unpackBlocks({ size, hasMinimums, unpack }: BlockForm, bytes: Uint8Array, count: number): Blocks {
  const unpacked = emptyBlocks(count, size, hasMinimums);
  unpack(bytes, unpacked);
  return unpacked;
}

function checkBytes(type: StoredType, bytes: Uint8Array, count: number): void {
  const needed = storedByteLength(type, count);
  if (needed === undefined || bytes.byteLength < needed) {
    throw new RangeError(`${count} weights of type ${type} need ${needed ?? "whole blocks of"} bytes, ${bytes.byteLength} were given`);
  }
}
