import type { AdapterLayer, LinearLayer } from "../../lora/layer.js";
import { transposed } from "../../weights/kernels/transpose.js";

/** What loralib saves of one layer: A and B as their class has them, with their shapes. */
export interface LoralibPair {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly shapeOfA: readonly [number, number];
  readonly shapeOfB: readonly [number, number];
}

/** A part of a layer that lora.MergedLinear adapts. */
interface Parts {
  /** Rank of each part. */
  readonly rank: number;
  /** Outputs of each part. */
  readonly size: number;
  /** Numbers of the parts that are adapted. */
  readonly enabled: readonly number[];
}

/**
 * The LoRA of a linear layer or of a table of embeddings out of loralib's pair; in words what does not fit.
 *
 * lora.Linear: A [r, in], B [out, r]. lora.Embedding: A [r, V], B [C, r], ΔW = (B·A)ᵀ. lora.MergedLinear, whose outputs are parts of one size of
 * which some are adapted: A [r·n, in], B [out/parts·n, r], each part by rows of its own; together that is B with blocks on its diagonal.
 *
 * @param enable which parts of a layer are adapted, where the shapes do not say it: loralib's `enable_lora`
 */
export function layerOf(
  pair: LoralibPair,
  layer: LinearLayer,
  { alpha, enable }: { readonly alpha: number; readonly enable: readonly boolean[] | undefined },
): AdapterLayer | string {
  const { a, b, shapeOfA, shapeOfB } = pair;
  const scale = alpha / shapeOfB[1];
  if (layer.isTable) {
    if (shapeOfA[0] !== shapeOfB[1] || shapeOfA[1] !== layer.outputs || shapeOfB[0] !== layer.inputs)
      return `${misfit(pair)}, a table of ${layer.outputs} × ${layer.inputs} needs [r, ${layer.outputs}] and [${layer.inputs}, r]`;
    return { ...layer, rank: shapeOfB[1], scale, a: transposed(b, shapeOfB[1]), b: transposed(a, layer.outputs) };
  }
  if (shapeOfA[1] !== layer.inputs || shapeOfA[0] % shapeOfB[1] !== 0)
    return `${misfit(pair)}, a layer of ${layer.outputs} × ${layer.inputs} needs [r, ${layer.inputs}] and [${layer.outputs}, r]`;
  const parts = partsOf(pair, layer, enable);
  if (typeof parts === "string") return parts;
  return { ...layer, rank: shapeOfA[0], scale, a, b: blockDiagonal(b, parts, layer.outputs) };
}

const misfit = ({ shapeOfA, shapeOfB }: LoralibPair) => `lora_A is [${shapeOfA.join(", ")}] and lora_B [${shapeOfB.join(", ")}]`;

function partsOf(pair: LoralibPair, { outputs }: LinearLayer, enable: readonly boolean[] | undefined): Parts | string {
  const { shapeOfA, shapeOfB } = pair;
  const count = shapeOfA[0] / shapeOfB[1];
  const size = shapeOfB[0] / count;
  if (!Number.isInteger(size) || outputs % size !== 0) return `${misfit(pair)}, which are no parts of a layer with ${outputs} outputs`;
  const all = outputs / size;
  const rank = shapeOfB[1];
  if (count === all) return { rank, size, enabled: Array.from({ length: all }, (_, part) => part) };
  const enabled = (enable ?? []).flatMap((is, part) => (is ? [part] : []));
  if (enable?.length === all && enabled.length === count) return { rank, size, enabled };
  return `${misfit(pair)}: ${count} of its ${all} parts are adapted, and the file does not say which${enable === undefined ? "" : ` (${enable.join(",")} is given)`}`;
}

/** B [out, r·n] of the whole layer: in the rows of the i-th adapted part its B [size, r] at columns i·r, zero elsewhere. */
function blockDiagonal(b: Float32Array, { rank, size, enabled }: Parts, outputs: number): Float32Array {
  const columns = rank * enabled.length;
  const whole = new Float32Array(outputs * columns);
  for (const [block, part] of enabled.entries())
    for (let row = 0; row < size; row++) {
      const from = (block * size + row) * rank;
      whole.set(b.subarray(from, from + rank), (part * size + row) * columns + block * rank);
    }
  return whole;
}
