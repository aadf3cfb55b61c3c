import type { Batch } from "../../data/batch.js";
import { ROWS } from "../../models/parts/rows.js";
import { inBatchLoss } from "../../ops/in-batch-loss.js";
import { l2Normalise } from "../../ops/l2-normalise.js";
import { poolRows } from "../../ops/pool-rows.js";
import { meanShares, rowsOfText } from "./labels.js";
import { type Objective, SUPERVISED } from "./objective.js";

/** What of a text's hidden states becomes its vector: that of its first or last token, or the mean over all. */
export type Pooling = "first" | "last" | "mean";

/** What cosines are multiplied by: the default of sentence-transformers. */
export const PAIR_SCALE = 20;

/**
 * To bring the vectors of two texts together, and away from those of the batch's other pairs: `MultipleNegativesRankingLoss` of
 * sentence-transformers, a loss for each pair. A positive that belongs to the anchor by another pair of the batch, or is its own once
 * more, is no wrong one. The outputs are the vectors of the first texts, of length one [S, C]; a batch whose examples have no partner
 * has them alone, and losses without meaning.
 */
export function embeddingPairs(pooling: Pooling): Objective {
  return {
    parameters: [],
    inBatch: true,
    write({ graph, hidden }) {
      const vectors = (shares: string) =>
        l2Normalise(poolRows(hidden, graph.input(shares, { dtype: "float32", shape: [SUPERVISED, ROWS] })));
      const anchors = vectors("shares"); // [S, C]
      const candidates = graph.input("candidates", { dtype: "float32", shape: [SUPERVISED, SUPERVISED] });
      return {
        losses: inBatchLoss(anchors, vectors("partnerShares"), candidates, { scale: PAIR_SCALE }),
        outputs: anchors,
        supervisedMultiple: 1,
      };
    },
    feeds: (batch) => ({
      shares: sharesOf(batch, pooling),
      partnerShares: sharesOf({ ...batch, supervisedRows: batch.partnerRows ?? batch.supervisedRows }, pooling),
      candidates: candidatesOf(batch),
    }),
  };
}

/** The positives that each anchor is told its own from: its own, and those that no pair of the batch gives it, [S, S]. */
function candidatesOf(batch: Batch): Float32Array {
  const { supervisedRows, partnerRows = supervisedRows, supervisedCount } = batch;
  const textAt = (row: bigint | undefined) =>
    rowsOfText(batch, Number(row))
      .map((other) => batch.ids[other])
      .join();
  const anchors = Array.from(supervisedRows.subarray(0, supervisedCount), textAt);
  const positives = Array.from(partnerRows.subarray(0, supervisedCount), textAt);
  const given = new Set(anchors.map((anchor, pair) => `${anchor}/${positives[pair]}`));
  const size = supervisedRows.length;
  const candidates = new Float32Array(size * size);
  for (let own = 0; own < size; own++) candidates[own * size + own] = 1; // of padding too: its loss is a number
  for (const [row, anchor] of anchors.entries())
    for (const [column, positive] of positives.entries()) if (!given.has(`${anchor}/${positive}`)) candidates[row * size + column] = 1;
  return candidates;
}

/** How much each row counts in the vector of each text, [S, N]. */
export const sharesOf = (batch: Batch, pooling: Pooling): Float32Array => (pooling === "mean" ? meanShares(batch) : placeShares(batch));

/** The one row that stands for each text, [S, N]. */
function placeShares({ segments, supervisedRows, supervisedCount }: Batch): Float32Array {
  const shares = new Float32Array(supervisedRows.length * segments.length);
  for (let place = 0; place < supervisedCount; place++) shares[place * segments.length + Number(supervisedRows[place])] = 1;
  return shares;
}
