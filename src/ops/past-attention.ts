import { product } from "../graph/dimension.js";
import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { type AttentionAttributes, groupedHeads, mergeGroups, probabilities, splitHeads } from "./attention.js";
import { concat, matMul } from "./engine-nodes.js";
import { expectEqual, extent, fixed, input } from "./types.js";

// O = softmax(s·Q·[K_past; K]ᵀ + bias)·[V_past; V], the scores capped before they are masked. The cache is as other tools keep it, heads
// first, and comes out longer by the new rows: `past_key_values` and `present` of the models that transformers exports.
const pastAttentionOp = defineOp<AttentionAttributes>({
  name: "PastAttention",
  infer: (types, { heads, kvHeads }) => {
    const [q, k, v] = [0, 1, 2].map((index) => input("PastAttention", types, index, 3));
    const past = input("PastAttention", types, 3, 4);
    input("PastAttention", types, 4, 4);
    const bias = input("PastAttention", types, 5, 4);
    const [queries = [], keys = [], values = []] = [q?.shape, k?.shape, v?.shape];
    const size = fixed("PastAttention", extent(past.shape, 3));
    expectEqual("PastAttention", "columns of q and heads", extent(queries, 2), heads * size);
    expectEqual("PastAttention", "columns of k and heads", extent(keys, 2), kvHeads * size);
    expectEqual("PastAttention", "columns of k and v", extent(keys, 2), extent(values, 2));
    const present = float32(extent(past.shape, 0), kvHeads, extent(bias.shape, 3), size);
    return [float32(...queries), present, present];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs, attributes, types }) => {
    const [q = "", k = "", v = "", pastKeys = "", pastValues = "", bias = ""] = inputs;
    const { heads, kvHeads } = attributes;
    const [batch = 0, , tokens = 0, seen = 0] = types[5]?.shape ?? [];
    const keys = concat(e, [pastKeys, splitHeads(e, k, kvHeads)], 2); // [B, K, P + T, D]
    const values = concat(e, [pastValues, splitHeads(e, v, kvHeads)], 2);
    const scores = { grouped: [batch, kvHeads, product(heads / kvHeads, tokens), seen], apart: [batch, heads, tokens, seen] };
    const { weights } = probabilities(e, groupedHeads(e, q, attributes), keys, bias, attributes, scores);
    return [mergeGroups(e, matMul(e, weights, values), attributes), keys, values];
  }),
});

export interface PastAttentionInputs {
  readonly q: Tensor; // [B, T, H·D]
  readonly k: Tensor; // [B, T, K·D]
  readonly v: Tensor; // [B, T, K·D]
  readonly pastKeys: Tensor; // [B, K, P, D]
  readonly pastValues: Tensor; // [B, K, P, D]
  /** 0 where a new token sees a row of the cache or a new token, else MASKED. */
  readonly bias: Tensor; // [B, 1, T, P + T]
}

/** The attention of new tokens to a cache and to themselves, [B, T, H·D], and the cache with the new rows, [B, K, P + T, D] each. */
export function pastAttention(
  { q, k, v, pastKeys, pastValues, bias }: PastAttentionInputs,
  attributes: AttentionAttributes,
): { readonly attended: Tensor; readonly keys: Tensor; readonly values: Tensor } {
  const [attended, keys, values] = applyAll(pastAttentionOp, [q, k, v, pastKeys, pastValues, bias], attributes);
  if (attended === undefined || keys === undefined || values === undefined) throw new Error("PastAttention has three outputs");
  return { attended, keys, values };
}
