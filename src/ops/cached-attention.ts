import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { type AttentionAttributes, addBias, groupedHeads, mergeGroups, splitHeads } from "./attention.js";
import { binary, matMul, slice, softmax } from "./engine-nodes.js";
import { extent, fixed, input } from "./types.js";

// O = softmax([s·Q·K_pastᵀ + bias_past, s·Q·Kᵀ + bias])·[V_past; V]: two products on each side of one softmax, so that
// the past is read in place and never joined with the new rows.
const cachedAttentionOp = defineOp<AttentionAttributes>({
  name: "CachedAttention",
  infer: (types, { kvHeads }) => {
    const q = input("CachedAttention", types, 0, 3);
    const k = input("CachedAttention", types, 1, 3);
    const size = fixed("CachedAttention", extent(k.shape, 2)) / kvHeads;
    const rows = float32(extent(k.shape, 0), kvHeads, extent(k.shape, 1), size); // [B, K, T, D]
    return [float32(...q.shape), rows, rows];
  },
  gradient: "noGradient",
  lower: everywhere((e, node) => {
    const { attributes, types } = node;
    const [q = "", k = "", v = "", pastKeys = "", pastValues = "", bias = "", pastBias = ""] = node.inputs;
    const { kvHeads, scale } = attributes;
    const queries = groupedHeads(e, q, attributes); // [B, K, G·T, D]
    const keys = splitHeads(e, k, kvHeads); // [B, K, T, D]
    const values = splitHeads(e, v, kvHeads);
    const pastScores = binary(e, "Add", matMul(e, queries, pastKeys, { transposeB: true, scale }), pastBias); // [B, K, G·T, P]
    const newScores = addBias(e, matMul(e, queries, keys, { transposeB: true, scale }), bias, attributes); // [B, K, G·T, T]
    const weights = softmax(e, e.emit("Concat", [pastScores, newScores], { attributes: { axis: { int: 3 } } })[0]);
    const past = e.shape([extent(types[3]?.shape ?? [], 2)]);
    const fromPast = matMul(e, slice(e, weights, e.ints([0]), past, 3), pastValues);
    const fromNew = matMul(e, slice(e, weights, past, e.ints([Number.MAX_SAFE_INTEGER]), 3), values);
    return [mergeGroups(e, binary(e, "Add", fromPast, fromNew), attributes), keys, values];
  }),
});

export interface CachedAttentionInputs {
  readonly q: Tensor; // [B, T, H·D]
  readonly k: Tensor; // [B, T, K·D]
  readonly v: Tensor; // [B, T, K·D]
  readonly pastKeys: Tensor; // [B, K, P, D]
  readonly pastValues: Tensor; // [B, K, P, D]
  readonly bias: Tensor; // [B, 1, T, T]
  readonly pastBias: Tensor; // [B, 1, 1, P]
}

/** The attention of new tokens to a cache and to themselves, and their own rows of K and V, [B, K, T, D]. */
export function cachedAttention(
  inputs: CachedAttentionInputs,
  attributes: AttentionAttributes,
): { output: Tensor; keys: Tensor; values: Tensor } {
  const { q, k, v, pastKeys, pastValues, bias, pastBias } = inputs;
  const [output, keys, values] = applyAll(cachedAttentionOp, [q, k, v, pastKeys, pastValues, bias, pastBias], attributes);
  if (output === undefined || keys === undefined || values === undefined) throw new Error("CachedAttention has three outputs");
  return { output, keys, values };
}
