import { expect, test } from "vitest";
import { type EmbeddedPair, rankPairs } from "../../src/evaluation/pair-ranking.js";
import { golden } from "../support/golden.js";

interface Facts {
  readonly anchors: readonly number[][];
  readonly positives: readonly number[][];
  readonly pairs: readonly (readonly [number, number])[];
  readonly accuracy: number;
  readonly meanReciprocalRank: number;
}

test("accuracy and mean reciprocal rank are those of sentence-transformers, also where anchors and positives recur", () => {
  const { ranking } = golden<{ readonly ranking: Facts }>("bert-pairs/golden.json");
  const text = (kind: "anchors" | "positives", at: number) => ({ key: `${kind} ${at}`, vector: Float32Array.from(ranking[kind][at]!) });
  const pairs = ranking.pairs.map(
    ([anchor, positive]): EmbeddedPair => ({ anchor: text("anchors", anchor), positive: text("positives", positive) }),
  );
  const { ranking: found, anchors } = rankPairs(pairs, 20);
  expect(anchors.map(({ rank }) => 1 / rank).reduce((sum, one) => sum + one, 0) / 7).toBeCloseTo(found.meanReciprocalRank, 12);
  for (const { key, rank, nearest } of anchors)
    expect(pairs.some(({ anchor, positive }) => anchor.key === key && positive.key === nearest)).toBe(rank === 1);
  expect(found).toMatchObject({ anchors: 7, positives: 6 });
  expect(found.accuracy).toBeCloseTo(ranking.accuracy, 12);
  expect(found.meanReciprocalRank).toBeCloseTo(ranking.meanReciprocalRank, 12);
});

test("a wrong positive that is as near as the own one stands before it; a pair alone has none", () => {
  const [x, y] = [Float32Array.of(1, 0), Float32Array.of(0, 1)];
  const pair = (at: number, anchor: Float32Array, positive: Float32Array): EmbeddedPair => ({
    anchor: { key: `a${at}`, vector: anchor },
    positive: { key: `p${at}`, vector: positive },
  });
  const { ranking: level } = rankPairs([pair(0, x, x), pair(1, y, x), pair(2, x, x)], 1);
  expect(level).toMatchObject({ accuracy: 0, meanReciprocalRank: 1 / 3 });
  expect(level.loss).toBeCloseTo(Math.log(3), 12);
  expect(rankPairs([pair(0, x, x), pair(1, y, y)], 1).ranking).toMatchObject({ accuracy: 1, meanReciprocalRank: 1 });
  expect(rankPairs([pair(0, x, y)], 1).ranking).toMatchObject({ accuracy: 1, loss: 0 });
});
