import { apply, applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32, type TensorType } from "../graph/op.js";
import { binary, gemm, reduceMax, reduceSum, softmax, unsqueeze } from "./engine-nodes.js";
import { count, expectEqual, extent, input } from "./types.js";

interface InBatchAttributes {
  /** Factor on the products. */
  readonly scale: number;
}

/** Taken from the score of a positive that is no candidate: e to the power of what is left is zero. */
const APART = 1e9;

// ℓᵢ = log Σⱼ exp(zᵢⱼ) − zᵢᵢ,  z = s·a·pᵀ,  j over the candidates of i
//
// The right column of row i is the i-th: zᵢᵢ is the product of two rows, and no matrix of the batch's size picks it.
const inBatchLossOp = defineOp<InBatchAttributes>({
  name: "InBatchLoss",
  infer: (types) => [float32(extent(inferAnchors("InBatchLoss", types).shape, 0))],
  gradient: ({ inputs: [anchors, positives, candidates], dys: [dy], attributes, wants }) => {
    if (wants[2]) throw new Error("InBatchLoss: what is a candidate has no gradient");
    return [...applyAll(inBatchLossGradientOp, [anchors, positives, candidates, dy], attributes)];
  },
  lower: everywhere((e, { inputs: [anchors = "", positives = "", candidates = ""], attributes: { scale } }) => {
    const scores = scoresOf(e, anchors, positives, candidates, scale);
    const most = reduceMax(e, scores, 1); // [E, 1]
    const sum = reduceSum(e, e.emit("Exp", [binary(e, "Sub", scores, most)])[0], [1], true);
    const logSum = binary(e, "Add", e.emit("Log", [sum])[0], most); // [E, 1]
    const own = binary(e, "Mul", reduceSum(e, binary(e, "Mul", anchors, positives), [1], true), e.float(scale));
    return reduceSum(e, binary(e, "Sub", logSum, own), [1], false); // [E]
  }),
  cost: ([anchors = []]) => ({ flops: 2 * count(anchors) * (anchors[0] ?? 0) }),
});

// z̄ = ȳ·(softmax(z) − 1),  ā = s·z̄·p,  p̄ = s·z̄ᵀ·a
const inBatchLossGradientOp = defineOp<InBatchAttributes>({
  name: "InBatchLossGradient",
  infer: (types) => {
    const { shape } = inferAnchors("InBatchLossGradient", types);
    return [float32(...shape), float32(...shape)];
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [anchors = "", positives = "", candidates = "", dy = ""], attributes: { scale } }) => {
    const rows = unsqueeze(e, dy, [1]); // [E, 1]
    const shares = binary(e, "Mul", softmax(e, scoresOf(e, anchors, positives, candidates, scale)), rows); // [E, E]
    const own = binary(e, "Mul", rows, e.float(scale));
    return [
      binary(e, "Sub", gemm(e, shares, positives, { scale }), binary(e, "Mul", positives, own)),
      binary(e, "Sub", gemm(e, shares, anchors, { transposeA: true, scale }), binary(e, "Mul", anchors, own)),
    ];
  }),
  cost: ([anchors = []]) => ({ flops: 6 * count(anchors) * (anchors[0] ?? 0) }),
});

function inferAnchors(name: string, types: readonly (TensorType | undefined)[]): TensorType {
  const anchors = input(name, types, 0, 2);
  const positives = input(name, types, 1, 2);
  expectEqual(name, "anchors and positives", extent(anchors.shape, 0), extent(positives.shape, 0));
  expectEqual(name, "columns of anchors and of positives", extent(anchors.shape, 1), extent(positives.shape, 1));
  const candidates = input(name, types, 2, 2);
  for (const axis of [0, 1]) expectEqual(name, "anchors and marks of candidates", extent(anchors.shape, 0), extent(candidates.shape, axis));
  return anchors;
}

/** Scores of each anchor with each positive [E, E]; next to minus infinity where it is no candidate. */
function scoresOf(e: Emitter, anchors: string, positives: string, candidates: string, scale: number): string {
  const apart = binary(e, "Mul", binary(e, "Sub", candidates, e.float(1)), e.float(APART));
  return binary(e, "Add", gemm(e, anchors, positives, { transposeB: true, scale }), apart);
}

/**
 * The loss of telling, for each anchor, its own positive from those of the other pairs, in nats: the cross-entropy of the scaled products,
 * with the pair's own number as target (Henderson et al. 2017, "Efficient Natural Language Response Suggestion for Smart Reply", section
 * 4.4; `MultipleNegativesRankingLoss` of sentence-transformers for rows of length one and a scale of 20).
 *
 * @param anchors [E, C]
 * @param positives [E, C]
 * @param candidates 1 where the positive of a column is the anchor's own or a wrong one, else 0 [E, E]
 * @returns [E]
 */
export const inBatchLoss = (anchors: Tensor, positives: Tensor, candidates: Tensor, { scale }: InBatchAttributes): Tensor =>
  apply(inBatchLossOp, [anchors, positives, candidates], { scale });
