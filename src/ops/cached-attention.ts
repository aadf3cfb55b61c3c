import { apply, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32, type LoweringArguments } from "../graph/op.js";
import { type AttentionAttributes, groupedHeads, mergeGroups, splitHeads } from "./attention.js";
import { binary, concat, matMul, reshapeTo, softmax, transpose } from "./engine-nodes.js";
import { capped } from "./soft-cap.js";
import { extent, input } from "./types.js";

/**
 * How new tokens meet the cache, by what is fed. `apart`: the products with the past and with the new rows have one softmax, and
 * the past is read in place: cheapest where few tokens are new. `joined`: the new rows are copied behind the past first, which
 * leaves fewer passes over the scores: cheapest where many are. `oneToken`: B and T are 1 and the token sees all, so that there is
 * no mask, and no axis to move.
 */
export type CacheUse = "apart" | "joined" | "oneToken";

interface CachedAttentionAttributes extends AttentionAttributes {
  readonly use: CacheUse;
}

// O = softmax(s·Q·[K_past; K]ᵀ + bias)·[V_past; V], the scores capped before they are masked
const cachedAttentionOp = defineOp<CachedAttentionAttributes>({
  name: "CachedAttention",
  infer: (types, { use }) => {
    for (const index of [1, 2]) input("CachedAttention", types, index, 3);
    for (const index of use === "oneToken" ? [3, 4] : [3, 4, 5]) input("CachedAttention", types, index, 4);
    return [float32(...input("CachedAttention", types, 0, 3).shape)];
  },
  gradient: "noGradient",
  lower: everywhere((e, node) => (node.attributes.use === "joined" ? attendJoined(e, node) : attendApart(e, node))),
});

function attendJoined(e: Emitter, { inputs, attributes }: LoweringArguments<CachedAttentionAttributes>): string {
  const [q = "", k = "", v = "", pastKeys = "", pastValues = "", bias = ""] = inputs;
  const { heads, kvHeads, softCap } = attributes;
  const scale = attributes.scale / (softCap ?? 1);
  const all = (past: string, x: string) => concat(e, [past, transpose(e, reshapeTo(e, x, [0, 0, kvHeads, -1]), [1, 0, 2, 3])], 0); // [P + T, B, K, D]
  const scores = rowsProduct(e, groupedHeads(e, q, attributes), all(pastKeys, k), { transposed: true, scale }); // [B, K, G·T, P + T]
  const weights = softmax(e, binary(e, "Add", capped(e, scores, softCap).values, groupedMask(e, bias, heads / kvHeads)));
  return mergeGroups(e, rowsProduct(e, weights, all(pastValues, v)), attributes);
}

function attendApart(e: Emitter, { inputs, attributes, types }: LoweringArguments<CachedAttentionAttributes>): string {
  const [q = "", k = "", v = "", pastKeys = "", pastValues = "", bias = ""] = inputs;
  const { heads, kvHeads, softCap } = attributes;
  const scale = attributes.scale / (softCap ?? 1);
  const one = attributes.use === "oneToken";
  const rows = (x: string) => (one ? reshapeTo(e, x, [1, kvHeads, 1, -1]) : splitHeads(e, x, kvHeads)); // [B, K, T, D]
  const queries = one ? reshapeTo(e, q, [1, kvHeads, heads / kvHeads, -1]) : groupedHeads(e, q, attributes); // [B, K, G·T, D]
  const pastScores = rowsProduct(e, queries, pastKeys, { transposed: true, scale }); // [B, K, G·T, P]
  const newScores = matMul(e, queries, rows(k), { transposeB: true, scale }); // [B, K, G·T, T]
  const scores = capped(e, concat(e, [pastScores, newScores], 3), softCap).values;
  const weights = softmax(e, one ? scores : binary(e, "Add", scores, groupedMask(e, bias, heads / kvHeads)));
  const widths = e.shape([extent(types[3]?.shape ?? [], 0), extent(types[1]?.shape ?? [], 1)]); // P and T
  const [toPast = "", toNew = ""] = e.emit("Split", [weights, widths], { outputs: 2, attributes: { axis: { int: 3 } } });
  const output = binary(e, "Add", rowsProduct(e, toPast, pastValues), matMul(e, toNew, rows(v))); // [B, K, G·T, D]
  return one ? reshapeTo(e, output, [1, 1, -1]) : mergeGroups(e, output, attributes);
}

/** A mask [B, 1, T, P + T] for each of the heads that share keys, [B, 1, G·T, P + T]: all blocks read the same. */
function groupedMask(e: Emitter, bias: string, shared: number): string {
  const [mask = ""] = e.once(`grouped:${bias}`, () => [concat(e, Array<string>(shared).fill(bias), 2)]);
  return mask;
}

/** The product of [B, K, ·, ·] with rows of a cache, [P, B, K, D], as [B, K, P, D] or its transpose. */
function rowsProduct(e: Emitter, a: string, rows: string, { transposed = false, scale = 1 } = {}): string {
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
  /** 0 where a token sees another, first those of the cache, else MASKED; none for `oneToken`. */
  readonly bias?: Tensor | undefined; // [B, 1, T, P + T]
}

/** The attention of new tokens to a cache and to themselves, [B, T, H·D]. */
export function cachedAttention(inputs: CachedAttentionInputs, attributes: CachedAttentionAttributes): Tensor {
  const { q, k, v, pastKeys, pastValues, bias } = inputs;
  return apply(cachedAttentionOp, [q, k, v, pastKeys, pastValues, bias], attributes);
}
