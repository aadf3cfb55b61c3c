import { InputError } from "../errors.js";
import type { ByteSource } from "./byte-source.js";
import { deinterleaveHeads } from "./kernels/interleaved-heads.js";
import { dequantise, type StoredType, storedFormats, storedTypeNames } from "./stored-types.js";
import { readTransposed } from "./transposed.js";

export type { StoredType } from "./stored-types.js";

/** Where one tensor lies and how it is stored. Shapes are row-major, outermost first: a linear layer's is [out, in]. */
export interface StoredTensor {
  /** Hugging Face's name, `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string;
  readonly type: StoredType;
  readonly shape: readonly number[];
  readonly source: ByteSource;
  /** Bytes from the start of the source. */
  readonly offset: number;
  readonly byteLength: number;
  /** Set when the rows of each of this many heads are stored interleaved (GGUF's q and k); reading undoes it. */
  readonly interleavedHeads?: number;
  /** Set when the matrix is stored as [in, out] (transformers' Conv1D); reading turns it. */
  readonly isTransposed?: true;
  /** Its name in the file, where that is another. */
  readonly storedName?: string;
  /** Added to every value on reading: GGUF stores the gains of Gemma's norms as 1 + w. */
  readonly addend?: number;
}

/** The tensors of a model by Hugging Face's names, read one at a time. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Names of tensors in a type that is no floating-point weight (I64 buffers, FP8, …), with that type. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** All values of a tensor, in the order of its shape. Throws InputError for a name that is not there. */
  readFloat32(name: string): Promise<Float32Array<ArrayBuffer>>;
}

/** A dimension, a rank and a number of tensors beyond which a file is damaged rather than large. */
export const MAX_DIMENSION = 2 ** 31 - 1;
export const MAX_RANK = 8;
export const MAX_TENSORS = 100_000;
/** Weights of one tensor: the largest float32 array that every supported engine can hold (16 GiB). */
const MAX_ELEMENTS = 2 ** 32 - 1;
/** Weights converted at a time where a tensor is streamed: 16 MiB of float32. */
const SLAB_ELEMENTS = 2 ** 22;

/** The number of weights a shape holds, or undefined where a dimension or the product is beyond reason. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0 || size > MAX_DIMENSION) return undefined;
    count *= size;
    if (count > MAX_ELEMENTS) return undefined;
  }
  return count;
}

/** A checkpoint over tensors whose places have been checked. */
export function buildCheckpoint(
  tensors: ReadonlyMap<string, StoredTensor>,
  unreadable: ReadonlyMap<string, string> = new Map(),
): Checkpoint {
  return {
    tensors,
    unreadable,
    readFloat32: async (name) => {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw missingTensor(name, tensors, unreadable);
      return await readStoredTensor(tensor);
    },
  };
}

/** All values of one tensor. */
export async function readStoredTensor(tensor: StoredTensor): Promise<Float32Array<ArrayBuffer>> {
  const out = new Float32Array(elementCount(tensor.shape) ?? 0);
  let at = 0;
  for await (const slab of readSlabs(tensor)) {
    out.set(slab, at);
    at += slab.length;
  }
  return out;
}

/** The values of one tensor in order, a slab at a time, so that a large one is never in memory as a whole. */
export async function* readSlabs(tensor: StoredTensor, slabElements = SLAB_ELEMENTS): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const { type, addend } = tensor;
  for await (const { bytes, count } of readStoredSlabs(tensor, slabElements)) {
    const values = dequantise(type, bytes, count);
    yield addend === undefined ? values : values.map((value) => value + addend);
  }
}

/** Some of a tensor's numbers, in order, as they are stored. */
export interface StoredSlab {
  readonly bytes: Uint8Array;
  /** Weights in them. */
  readonly count: number;
}

/** The bytes of one tensor as they are stored, but in the order of its shape and without its addend, a slab of whole blocks at a time. */
export async function* readStoredSlabs(tensor: StoredTensor, slabElements = SLAB_ELEMENTS): AsyncGenerator<StoredSlab> {
  if (tensor.isTransposed) return yield* readTransposed(tensor, slabElements);
  const { type, shape, source, offset, interleavedHeads: heads } = tensor;
  const total = elementCount(shape) ?? 0;
  const { weights, bytes } = storedFormats[type];
  const unit = heads === undefined || total === 0 ? weights : total / heads; // whole heads, whole blocks
  const step = Math.max(1, Math.floor(slabElements / unit)) * unit;
  for (let at = 0; at < total; at += step) {
    const count = Math.min(step, total - at);
    const stored = await source.read(offset + (at / weights) * bytes, (count / weights) * bytes);
    yield { count, bytes: heads === undefined ? stored : deinterleaveHeads(stored, count / unit, (shape[0] ?? 1) / heads) };
  }
}

function missingTensor(name: string, tensors: ReadonlyMap<string, unknown>, unreadable: ReadonlyMap<string, string>): InputError {
  const type = unreadable.get(name);
  if (type !== undefined) {
    return new InputError(`Tensor ${name} is stored as ${type}; weights are read from ${storedTypeNames.join(", ")}.`);
  }
  const some = [...tensors.keys()].slice(0, 3).join(", ");
  return new InputError(`The checkpoint has no tensor ${name}. It has ${tensors.size}, such as ${some || "none"}.`);
}
