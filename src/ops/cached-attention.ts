import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32 } from "../graph/op.js";
import { type AttentionAttributes, groupedHeads, mergeGroups, splitHeads } from "./attention.js";
import { binary, concat, matMul, slice, softmax, transpose } from "./engine-nodes.js";
import { extent, input } from "./types.js";

// O = softmax([s·Q·K_pastᵀ, s·Q·Kᵀ] + bias)·[V_past; V]: two products on each side of one softmax, so that the past is read
// in place and never joined with the new rows.
const cachedAttentionOp = defineOp<AttentionAttributes>({
  name: "CachedAttention",
  infer: (types) => {
    for (const index of [1, 2]) input("CachedAttention", types, index, 3);
    for (const index of [3, 4, 5]) input("CachedAttention", types, index, 4);
    return [float32(...input("CachedAttention", types, 0, 3).shape)];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs, attributes, types }) => {
    const [q = "", k = "", v = "", pastKeys = "", pastValues = "", bias = ""] = inputs;
    const { heads, kvHeads, scale } = attributes;
    const queries = groupedHeads(e, q, attributes); // [B, K, G·T, D]
    const pastScores = pastProduct(e, queries, pastKeys, { transposed: true, scale }); // [B, K, G·T, P]
    const newScores = matMul(e, queries, splitHeads(e, k, kvHeads), { transposeB: true, scale }); // [B, K, G·T, T]
    // One mask for each of the heads that share keys: all blocks read the same.
    const [mask = ""] = e.once(`grouped:${bias}`, () => [concat(e, Array<string>(heads / kvHeads).fill(bias), 2)]); // [B, 1, G·T, P + T]
    const weights = softmax(e, binary(e, "Add", concat(e, [pastScores, newScores], 3), mask));
    const past = e.shape([extent(types[3]?.shape ?? [], 0)]);
    const fromPast = pastProduct(e, slice(e, weights, e.ints([0]), past, 3), pastValues);
    const fromNew = matMul(e, slice(e, weights, past, e.ints([Number.MAX_SAFE_INTEGER]), 3), splitHeads(e, v, kvHeads));
    return mergeGroups(e, binary(e, "Add", fromPast, fromNew), attributes);
  }),
});

/** The product of [B, K, ·, ·] with rows of a cache, [P, B, K, D], as [B, K, P, D] or its transpose. */
function pastProduct(e: Emitter, a: string, rows: string, { transposed = false, scale = 1 } = {}): string {
  if (e.target === "webgpu") return matMul(e, a, transpose(e, rows, [1, 2, 0, 3]), { transposeB: transposed, scale });
  // The engine steps over the axes between the first and the last instead of moving them.
  const attributes = { transB: { int: Number(transposed) }, transBatchB: { int: 1 }, alpha: { float: scale } };
  return e.emit("FusedMatMul", [a, rows], { domain: "com.microsoft", attributes })[0];
}

export interface CachedAttentionInputs {
  readonly q: Tensor; // [B, T, H·D]
  readonly k: Tensor; // [B, T, K·D]
  readonly v: Tensor; // [B, T, K·D]
  readonly pastKeys: Tensor; // [P, B, K, D]
  readonly pastValues: Tensor; // [P, B, K, D]
  /** 0 where a token sees another, first those of the cache, else MASKED. */
  readonly bias: Tensor; // [B, 1, T, P + T]
}

/** The attention of new tokens to a cache and to themselves, [B, T, H·D]. */
export function cachedAttention(inputs: CachedAttentionInputs, attributes: AttentionAttributes): Tensor {
  const { q, k, v, pastKeys, pastValues, bias } = inputs;
  return apply(cachedAttentionOp, [q, k, v, pastKeys, pastValues, bias], attributes);
}
