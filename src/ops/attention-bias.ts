import { product } from "../graph/dimension.js";
import { applyAll, type Tensor } from "../graph/graph.js";
import { defineOp, everywhere, float32 } from "../graph/op.js";
import { binary, concat, splitEvenly, unsqueeze } from "./engine-nodes.js";
import { extent, input } from "./types.js";

/** What a masked score gets: its exponential is zero, and no sum of two of them overflows. */
export const MASKED = -1e30;

/** The symbol of a chunk's number of queries, tokens / chunks, where there are several. */
export const QUERIES = "queries";

interface BiasAttributes {
  /** Equal parts of the queries. */
  readonly chunks: number;
}

// bias[b, 0, i, j] = 0 where token i may see token j (j ≤ i, the same segment), else MASKED. Queries of chunk c see no key
// behind their own chunk, so that its part ends there.
const attentionBiasOp = defineOp<BiasAttributes>({
  name: "AttentionBias",
  infer: (types, { chunks }) => {
    const segments = input("AttentionBias", types, 0, 2);
    const tokens = extent(segments.shape, 1);
    input("AttentionBias", types, 1, 1);
    const queries = chunks === 1 ? tokens : QUERIES;
    return Array.from({ length: chunks }, (_, chunk) => float32(extent(segments.shape, 0), 1, queries, product(chunk + 1, queries)));
  },
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [segments = "", order = ""], attributes: { chunks } }) => {
    const segmentParts = splitEvenly(e, segments, chunks, 1);
    const orderParts = splitEvenly(e, order, chunks, 0);
    return segmentParts.map((querySegments, chunk) => {
      const query = unsqueeze(e, querySegments, [1, 3]); // [B, 1, Q, 1]
      const key = unsqueeze(e, concat(e, segmentParts.slice(0, chunk + 1), 1), [1, 2]); // [B, 1, 1, K]
      const queryOrder = unsqueeze(e, orderParts[chunk] ?? "", [1]); // [Q, 1]
      const keyOrder = unsqueeze(e, concat(e, orderParts.slice(0, chunk + 1), 0), [0]); // [1, K]
      const earlier = binary(e, "LessOrEqual", keyOrder, queryOrder); // [Q, K]
      const causal = e.emit("Where", [earlier, e.float(0), e.float(MASKED)])[0];
      return e.emit("Where", [binary(e, "Equal", query, key), causal, e.float(MASKED)])[0]; // [B, 1, Q, K]
    });
  }),
});

/**
 * Additive masks, one for each chunk of T / chunks queries.
 *
 * @param segments [B, T]: tokens with equal numbers see each other
 * @param order [T] = 0 … T−1
 * @returns for chunk c of Q queries [B, 1, Q, (c + 1)·Q]
 */
export const attentionBias = (segments: Tensor, order: Tensor, chunks = 1): readonly Tensor[] =>
  applyAll(attentionBiasOp, [segments, order], { chunks });
