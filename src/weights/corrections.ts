import { type BlockCodes, blockCodes } from "./kernels/block-codes.js";
import { applyFloatDistances, decodeSparse, encodeSparse, floatDistances, mostSparseBytes } from "./kernels/distances.js";
import { encodeBF16, encodeF16 } from "./kernels/half.js";
import { predictedCodes } from "./kernels/predicted-codes.js";
import { type BlockForm, blockForm, type StoredType, unpackBlocks } from "./stored-types.js";

// What turns a prediction of stored weights into their bytes, exactly. Where the prediction is good it takes few bytes: of floating-point
// numbers it is the distances in representable numbers, nearly all zero; of blocks their scales and minimums as they stand, and how far
// each whole number is from the one that the prediction falls on.

/** How weights of a type are corrected. */
export interface Correction {
  /** The bytes that lead from predicted weights to stored ones. */
  encode(stored: Uint8Array, predicted: Float32Array): Uint8Array;
  /** The stored weights again. Throws RangeError where the correction belongs to others. */
  apply(correction: Uint8Array, predicted: Float32Array): Uint8Array;
  /** Most bytes of a correction of so many weights. */
  mostBytes(count: number): number;
}

/** How weights of a type are corrected; undefined for a type whose bytes can only be kept as they are. */
export function correctionOf(type: StoredType): Correction | undefined {
  if (type === "F32" || type === "F16" || type === "BF16") return ofFloats(type);
  const form = blockForm(type);
  return form !== undefined && Object.hasOwn(blockCodes, type) ? ofBlocks(form, blockCodes[type as keyof typeof blockCodes]) : undefined;
}

function ofFloats(type: "F32" | "F16" | "BF16"): Correction {
  const size = type === "F32" ? 4 : 2;
  const bytesOf = (values: Float32Array): Uint8Array =>
    type === "F32"
      ? new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
      : type === "F16"
        ? encodeF16(values)
        : encodeBF16(values);
  return {
    encode: (stored, predicted) => encodeSparse(floatDistances(stored, bytesOf(predicted), size)),
    apply: (correction, predicted) => applyFloatDistances(bytesOf(predicted), decodeSparse(correction, predicted.length), size),
    mostBytes: mostSparseBytes,
  };
}

function ofBlocks(form: BlockForm, codes: BlockCodes): Correction {
  const { weights, bytes: size, head, range, pack } = codes;
  const headSize = head[1] - head[0];
  const headBytes = (count: number) => (count / weights) * headSize;
  return {
    encode(stored, predicted) {
      const blocks = unpackBlocks(form, stored, predicted.length);
      const expected = predictedCodes(predicted, blocks, form.size, range);
      const sparse = encodeSparse(Int32Array.from(blocks.codes, (code, at) => code - (expected[at] ?? 0)));
      const correction = new Uint8Array(headBytes(predicted.length) + sparse.length);
      moveHeads(stored, correction, codes, "out");
      correction.set(sparse, headBytes(predicted.length));
      return correction;
    },
    apply(correction, predicted) {
      const count = predicted.length;
      if (correction.length < headBytes(count)) throw new RangeError("a correction lacks scales");
      const stored = new Uint8Array((count / weights) * size);
      moveHeads(stored, correction, codes, "in");
      const blocks = unpackBlocks(form, stored, count);
      const expected = predictedCodes(predicted, blocks, form.size, range);
      const distances = decodeSparse(correction.subarray(headBytes(count)), count);
      for (const [at, code] of expected.entries()) blocks.codes[at] = code + (distances[at] ?? 0);
      for (let from = 0, at = 0; from < count; from += weights, at += size) pack(blocks.codes, from, stored, at);
      return stored;
    },
    mostBytes: (count) => headBytes(count) + mostSparseBytes(count),
  };
}

/** Copies the scales and minimums of blocks out of their bytes, side by side, or in again. */
function moveHeads(stored: Uint8Array, heads: Uint8Array, { bytes: size, head: [from, to] }: BlockCodes, way: "out" | "in"): void {
  for (let at = 0, place = 0; at < stored.length; at += size, place += to - from) {
    if (way === "out") heads.set(stored.subarray(at + from, at + to), place);
    else stored.set(heads.subarray(place, place + to - from), at + from);
  }
}
