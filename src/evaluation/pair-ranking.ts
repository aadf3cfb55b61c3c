import type { Ranking } from "../training/events.js";

/** A text of a pair. */
export interface EmbeddedText {
  /** Texts that the model reads as the same have the same key. */
  readonly key: string;
  /** Of length one. */
  readonly vector: Float32Array;
}

export interface EmbeddedPair {
  readonly anchor: EmbeddedText;
  readonly positive: EmbeddedText;
}

/** What one anchor finds. */
export interface RankedAnchor {
  /** Key of the anchor. */
  readonly key: string;
  /** Rank of its nearest own positive, from 1. */
  readonly rank: number;
  /** Key of the positive that is nearest of all. */
  readonly nearest: string;
}

export interface RankedPairs {
  readonly ranking: Ranking;
  /** In the order in which they first occur. */
  readonly anchors: readonly RankedAnchor[];
}

/**
 * How well each anchor finds a positive of its own among all of them, each text counted once, by the cosine: accuracy@1 and mean
 * reciprocal rank as in `InformationRetrievalEvaluator` of sentence-transformers. A wrong positive that is as near as the own one
 * stands before it. The loss is that of all pairs as one batch, see `embeddingPairs`.
 *
 * @param scale what cosines are multiplied by in the loss
 */
export function rankPairs(pairs: readonly EmbeddedPair[], scale: number): RankedPairs {
  const positives = distinct(pairs.map(({ positive }) => positive));
  const uses = countsOf(pairs);
  let loss = 0;
  const anchors = distinct(pairs.map(({ anchor }) => anchor)).map((anchor): RankedAnchor => {
    const own = countsOf(pairs.filter((pair) => pair.anchor.key === anchor.key));
    const scored = positives.map(({ key, vector }) => ({ key, score: product(anchor.vector, vector) }));
    const right = scored.filter(({ key }) => own.has(key)).sort((a, b) => b.score - a.score);
    const wrong = scored.filter(({ key }) => !own.has(key)).sort((a, b) => b.score - a.score);
    const best = right[0]?.score ?? 0;
    for (const { key, score } of right) {
      const others = wrong.reduce((sum, other) => sum + (uses.get(other.key) ?? 0) * Math.exp(scale * (other.score - score)), 0);
      loss += (own.get(key) ?? 0) * Math.log1p(others);
    }
    const rank = 1 + wrong.filter(({ score }) => score >= best).length;
    return { key: anchor.key, rank, nearest: (rank === 1 ? right : wrong)[0]?.key ?? "" };
  });
  const ranks = anchors.map(({ rank }) => rank);
  return {
    ranking: {
      anchors: anchors.length,
      positives: positives.length,
      accuracy: mean(ranks.map((rank) => Number(rank === 1))),
      meanReciprocalRank: mean(ranks.map((rank) => 1 / rank)),
      loss: loss / pairs.length,
    },
    anchors,
  };
}

/** How many pairs have each positive. */
function countsOf(pairs: readonly EmbeddedPair[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { positive } of pairs) counts.set(positive.key, (counts.get(positive.key) ?? 0) + 1);
  return counts;
}

const distinct = (texts: readonly EmbeddedText[]): EmbeddedText[] => [...new Map(texts.map((text) => [text.key, text])).values()];

function product(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (const [at, value] of a.entries()) sum += value * (b[at] ?? 0);
  return sum;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
