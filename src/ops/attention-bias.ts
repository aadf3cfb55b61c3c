import { product } from "../graph/dimension.js";
import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, type Emitter, everywhere, float32 } from "../graph/op.js";
import { binary, concat, splitEvenly, unsqueeze } from "./engine-nodes.js";
import { extent, input } from "./types.js";

/** What a masked score gets: its exponential is zero, and no sum of two of them overflows. */
export const MASKED = -1e30;

/** The symbol of a chunk's number of queries, tokens / chunks, where there are several. */
export const QUERIES = "queries";

/** What a token sees of its segment: itself and earlier tokens, or those on both sides of it. */
export type Sight = "causal" | "both";

interface BiasAttributes {
  /** Equal parts of the queries. */
  readonly chunks: number;
  readonly sight: Sight;
  /**
   * How far a token sees (Beltagy et al. 2020, section 3.1). As transformers counts: causal, itself and the window − 1 tokens
   * before it (Mistral, Gemma); on both sides, as many tokens on each (half of ModernBERT's `local_attention`).
   */
  readonly window?: number | undefined;
}

// bias[b, 0, i, j] = 0 where token i may see token j, else MASKED: of the same segment, and i − j ≥ 0, i − j < w, or |i − j| ≤ w.
// Queries of chunk c that see earlier tokens see no key behind their own chunk, so that its part ends there.
const attentionBiasOp = defineOp<BiasAttributes>({
  name: "AttentionBias",
  infer: (types, { chunks, sight }) => {
    const segments = input("AttentionBias", types, 0, 2);
    const tokens = extent(segments.shape, 1);
    input("AttentionBias", types, 1, 1);
    const queries = chunks === 1 ? tokens : QUERIES;
    return Array.from({ length: chunks }, (_, chunk) => {
      return float32(extent(segments.shape, 0), 1, queries, product(keyParts(sight, chunk, chunks), queries));
    });
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [segments = "", order = ""], attributes: { chunks, sight, window } }) => {
    const segmentParts = splitEvenly(e, segments, chunks, 1);
    const orderParts = splitEvenly(e, order, chunks, 0);
    return segmentParts.map((querySegments, chunk) => {
      const parts = keyParts(sight, chunk, chunks);
      const query = unsqueeze(e, querySegments, [1, 3]); // [B, 1, Q, 1]
      const key = unsqueeze(e, concat(e, segmentParts.slice(0, parts), 1), [1, 2]); // [B, 1, 1, K]
      const queryOrder = unsqueeze(e, orderParts[chunk] ?? "", [1]); // [Q, 1]
      const keyOrder = unsqueeze(e, concat(e, orderParts.slice(0, parts), 0), [0]); // [1, K]
      const near = window === undefined ? [] : [isNear(e, queryOrder, keyOrder, sight, window)];
      const earlier = sight === "causal" ? [binary(e, "LessOrEqual", keyOrder, queryOrder)] : []; // [Q, K]
      return [...near, ...earlier, binary(e, "Equal", query, key)].reduce(
        (visible, condition) => e.emit("Where", [condition, visible, e.float(MASKED)])[0],
        e.float(0),
      ); // [B, 1, Q, K]
    });
  }),
});

/** How many of the equal parts of the keys the queries of a chunk are computed with. */
function keyParts(sight: Sight, chunk: number, chunks: number): number {
  return sight === "causal" ? chunk + 1 : chunks;
}

/** Whether keys, none of them later than a query where sight is causal, lie within its window [Q, K]. */
function isNear(e: Emitter, queryOrder: string, keyOrder: string, sight: Sight, window: number): string {
  const distance = binary(e, "Sub", queryOrder, keyOrder);
  if (sight === "causal") return binary(e, "Less", distance, e.float(window));
  return binary(e, "LessOrEqual", e.emit("Abs", [distance])[0], e.float(window));
}

/**
 * Additive masks, one for each chunk of T / chunks queries.
 *
 * @param segments [B, T]: tokens with equal numbers see each other
 * @param order [T] = 0 … T−1
 * @returns for chunk c of Q queries [B, 1, Q, (c + 1)·Q], [B, 1, Q, T] where tokens see both sides
 */
export const attentionBias = (
  segments: Tensor,
  order: Tensor,
  { chunks = 1, sight = "causal", window }: Partial<BiasAttributes> = {},
): readonly Tensor[] => applyAll(attentionBiasOp, [segments, order], { chunks, sight, window });
