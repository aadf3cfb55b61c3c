import { type Checkpoint, elementCount, readSlabs, type StoredTensor } from "../../weights/checkpoint.js";
import { interleaveHeads } from "../../weights/kernels/interleaved-heads.js";
import { transposed } from "../../weights/kernels/transpose.js";
import { unmergeInto } from "../kernels/merge.js";
import type { InferenceForm } from "../variants/variant.js";

// What a merged model says of its base: the weights that are left when the change is taken out again, nearly those that were there.

/** How a tensor of the base lies in its file. */
export type BaseLayout = Pick<StoredTensor, "shape" | "interleavedHeads" | "isTransposed" | "addend">;

/** Weights that are predicted at a time where a tensor is no adapted layer. A multiple of every size of blocks. */
export const SLAB_WEIGHTS = 2 ** 22;

/** Whether a tensor is predicted at once rather than a slab at a time: its values come in another order than they are stored in. */
function isWhole(layout: BaseLayout): boolean {
  return layout.interleavedHeads !== undefined || layout.isTransposed === true;
}

/**
 * The weights of a tensor of the base in the order of its file, as its merged counterpart lets expect them: in slabs of `SLAB_WEIGHTS`, or
 * all at once.
 *
 * @param merged the tensor of the merged model
 * @param change what its layer's adapter did to it
 */
export async function* predictedWeights(
  layout: BaseLayout,
  merged: StoredTensor,
  checkpoint: Pick<Checkpoint, "readFloat32">,
  change: InferenceForm | undefined,
): AsyncGenerator<Float32Array> {
  const toStored = storedForm(layout);
  if (change === undefined && !isWhole(layout) && !isWhole(merged)) {
    for await (const slab of readSlabs(merged, SLAB_WEIGHTS)) yield toStored(slab);
    return;
  }
  const values = await checkpoint.readFloat32(merged.name);
  const before = new Float32Array(values.length);
  if (change !== undefined && fits(change, layout)) unmergeInto(before, values, change);
  else before.set(values);
  yield toStored(before);
}

function fits({ a, b, rank }: InferenceForm, { shape: [outputs, inputs] }: BaseLayout): boolean {
  return a.length === (inputs ?? 0) * rank && b.length === (outputs ?? 0) * rank;
}

/** Puts values in Hugging Face's form into that of a file. */
function storedForm({ shape, interleavedHeads: heads, isTransposed, addend }: BaseLayout): (values: Float32Array) => Float32Array {
  const [rows = 1, width = elementCount(shape) ?? 1] = shape;
  return (values) => {
    if (addend !== undefined) return values.map((value) => value - addend);
    if (isTransposed) return transposed(values, width);
    if (heads === undefined) return values;
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return new Float32Array(interleaveHeads(bytes, heads, rows / heads).buffer);
  };
}
