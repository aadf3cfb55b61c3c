import { apply, applyAll, type Tensor } from "../graph/graph.js";
import { type Cost, defineOp, type Emitter, everywhere, float32 } from "../graph/op.js";
import { binary, matMul, reduceSum, reshapeTo, softmax, transpose } from "./engine-nodes.js";
import { count, expectEqual, extent, fixed, input } from "./types.js";

export interface AttentionAttributes {
  readonly heads: number;
  /** Grouped-query attention (Ainslie et al. 2023): head h reads key-value head ⌊h / (heads / kvHeads)⌋. */
  readonly kvHeads: number;
  /** Factor on the scores, 1/√D. */
  readonly scale: number;
}

// O = softmax(s·Q·Kᵀ + bias)·V                                              Vaswani et al. 2017, eq. 1
const attentionOp = defineOp<AttentionAttributes>({
  name: "Attention",
  infer: (types, { heads, kvHeads }) => {
    const q = input("Attention", types, 0, 3);
    const k = input("Attention", types, 1, 3);
    const v = input("Attention", types, 2, 3);
    input("Attention", types, 3, 4);
    if (heads % kvHeads !== 0) throw new Error(`Attention: ${heads} heads do not share ${kvHeads} key-value heads evenly`);
    expectEqual(
      "Attention",
      "head sizes",
      fixed("Attention", extent(q.shape, 2)) / heads,
      fixed("Attention", extent(k.shape, 2)) / kvHeads,
    );
    expectEqual("Attention", "columns of k and v", extent(k.shape, 2), extent(v.shape, 2));
    return [float32(...q.shape)]; // [B, T, H·D]
  },
  gradient: ({ inputs: [q, k, v, bias], outputs: [output], dys: [dy], attributes }) =>
    applyAll(attentionGradientOp, [q, k, v, bias, output, dy], attributes),
  lower: everywhere((e, { inputs: [q = "", k = "", v = "", bias = ""], attributes }) => {
    const { kvHeads } = attributes;
    const queries = groupedHeads(e, q, attributes); // [B, K, G·T, D]
    const weights = probabilities(e, queries, splitHeads(e, k, kvHeads), bias, attributes); // [B, K, G·T, T]
    return mergeGroups(e, matMul(e, weights, splitHeads(e, v, kvHeads)), attributes);
  }),
  // Two products over all pairs of tokens; scores before and after the softmax, and the heads' copies of q, k and v.
  cost: (shapes, attributes) => attentionCost(shapes, attributes, { products: 2, scores: 2, copies: 1 }),
});

// P is computed again: it is T/D times larger than what makes it.
// V̄ = Pᵀ·Ō;  S̄ = P ⊙ (Ō·Vᵀ − rowsum(Ō ⊙ O));  Q̄ = s·S̄·K,  K̄ = s·S̄ᵀ·Q      (rowsum as in Dao et al. 2022, eq. 4)
const attentionGradientOp = defineOp<AttentionAttributes>({
  name: "AttentionGradient",
  infer: (types) => [0, 1, 2].map((index) => float32(...input("AttentionGradient", types, index, 3).shape)),
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [q = "", k = "", v = "", bias = "", output = "", dy = ""], attributes }) => {
    const { kvHeads, scale } = attributes;
    const queries = groupedHeads(e, q, attributes); // [B, K, G·T, D]
    const keys = splitHeads(e, k, kvHeads); // [B, K, T, D]
    const values = splitHeads(e, v, kvHeads);
    const weights = probabilities(e, queries, keys, bias, attributes); // [B, K, G·T, T]
    const dOutput = groupedHeads(e, dy, attributes); // [B, K, G·T, D]
    const dot = reduceSum(e, binary(e, "Mul", dOutput, groupedHeads(e, output, attributes)), [3], true); // [B, K, G·T, 1]
    const dWeights = matMul(e, dOutput, values, { transposeB: true });
    const dScores = binary(e, "Mul", weights, binary(e, "Sub", dWeights, dot));
    return [
      mergeGroups(e, matMul(e, dScores, keys, { scale }), attributes),
      mergeHeads(e, matMul(e, dScores, queries, { transposeA: true, scale })),
      mergeHeads(e, matMul(e, weights, dOutput, { transposeA: true })),
    ];
  }),
  // P again and four products more; P, the gradient of P and that of the scores; copies of q, k, v, O and its gradient.
  cost: (shapes, attributes) => attentionCost(shapes, attributes, { products: 5, scores: 3, copies: 2 }),
});

/** Products of [T, D] and [T, D] for each head; matrices of [T, T] for each head; copies of the inputs. */
function attentionCost(
  [[batch = 0, tokens = 0, columns = 0] = [], k = []]: readonly (readonly number[])[],
  { heads }: AttentionAttributes,
  { products, scores, copies }: { readonly products: number; readonly scores: number; readonly copies: number },
): Cost {
  const inputs = batch * tokens * columns + 2 * count(k);
  return { flops: products * 2 * batch * tokens * tokens * columns, scratch: scores * batch * heads * tokens * tokens + copies * inputs };
}

/** [B, T, K·D] → [B, K, T, D]. */
export function splitHeads(e: Emitter, x: string, heads: number): string {
  return transpose(e, reshapeTo(e, x, [0, 0, heads, -1]), [0, 2, 1, 3]);
}

/** [B, T, H·D] → [B, K, G·T, D]: the G heads that share a key-value head stand under each other, so that no key is repeated. */
export function groupedHeads(e: Emitter, x: string, { heads, kvHeads }: AttentionAttributes): string {
  const split = splitHeads(e, x, heads); // [B, H, T, D]
  return heads === kvHeads ? split : reshapeTo(e, split, [0, kvHeads, -1, 0]);
}

/** [B, K, T, D] → [B, T, K·D]. */
function mergeHeads(e: Emitter, x: string): string {
  return reshapeTo(e, transpose(e, x, [0, 2, 1, 3]), [0, 0, -1]);
}

/** [B, K, G·T, D] → [B, T, H·D]. */
export function mergeGroups(e: Emitter, x: string, { heads, kvHeads }: AttentionAttributes): string {
  return mergeHeads(e, heads === kvHeads ? x : reshapeTo(e, x, [0, heads, -1, 0]));
}

/** Adds a [B, 1, T, ·] mask to scores [B, K, G·T, ·], each head's rows under the same mask. */
export function addBias(e: Emitter, scores: string, bias: string, { heads, kvHeads }: AttentionAttributes): string {
  if (heads === kvHeads) return binary(e, "Add", scores, bias);
  const masked = binary(e, "Add", reshapeTo(e, scores, [0, heads, -1, 0]), bias); // [B, H, T, ·]
  return reshapeTo(e, masked, [0, kvHeads, -1, 0]);
}

function probabilities(e: Emitter, queries: string, keys: string, bias: string, attributes: AttentionAttributes): string {
  const scores = matMul(e, queries, keys, { transposeB: true, scale: attributes.scale });
  return softmax(e, addBias(e, scores, bias, attributes));
}

/** q [B, T, H·D], k and v [B, T, K·D], bias [B, 1, T, T] → [B, T, H·D]. */
export const attention = (q: Tensor, k: Tensor, v: Tensor, bias: Tensor, attributes: AttentionAttributes): Tensor =>
  apply(attentionOp, [q, k, v, bias], attributes);
