import type { TokenLoss } from "./subject.js";

/**
 * Differences between two models measured on the same items, with 95 % intervals. Pairing matters: most items are as hard for
 * one model as for the other, and only what changed on an item speaks about the difference.
 */

/** A difference, after minus before, and the interval that holds the true one in 95 of 100 such measurements. */
export interface PairedDifference {
  readonly difference: number;
  readonly interval: readonly [low: number, high: number];
}

/** The 97.5 % quantile of the standard normal distribution: two-sided 95 %. */
const Z = 1.959963984540054;
const LEVEL = 0.95;
const RESAMPLES = 10_000;
const SEED = 20_060_511;

/**
 * The difference of two shares of right answers to the same questions.
 *
 * The interval is Agresti and Min's, "Simple improved confidence intervals for comparing matched proportions", Statistics in
 * Medicine 24 (2005) 729–740: Wald's, after half an observation is added to each of the four kinds of pairs. It keeps its
 * 95 % at small numbers, needs no resampling, and does not shrink to nothing when no answer changed. The difference itself is the plain one.
 */
export function accuracyDifference(before: readonly boolean[], after: readonly boolean[]): PairedDifference {
  assertPaired(before.length, after.length);
  let [gained, lost] = [0, 0];
  for (const [index, was] of before.entries()) {
    const is = after[index];
    if (is && !was) gained++;
    if (was && !is) lost++;
  }
  const [c, b, n] = [gained + 0.5, lost + 0.5, before.length + 2];
  const centre = (c - b) / n;
  const margin = (Z * Math.sqrt(b + c - (c - b) ** 2 / n)) / n;
  return { difference: (gained - lost) / before.length, interval: [Math.max(-1, centre - margin), Math.min(1, centre + margin)] };
}

/**
 * The difference of two mean losses, nats a token, over the same texts; exp of it is the ratio of the perplexities.
 *
 * The interval is the percentile bootstrap over texts (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13):
 * texts are drawn again with replacement, each with its loss before and after and its number of tokens. Tokens of one text are not independent, texts are.
 */
export function lossDifference(before: readonly TokenLoss[], after: readonly TokenLoss[]): PairedDifference {
  assertPaired(before.length, after.length);
  const n = before.length;
  const changes = Float64Array.from(before, (loss, index) => (after[index]?.nll ?? 0) - loss.nll);
  const counts = Float64Array.from(before, ({ count }) => count);
  const random = mulberry32(SEED);
  const means = new Float64Array(RESAMPLES);
  for (let resample = 0; resample < RESAMPLES; resample++) {
    let [change, count] = [0, 0];
    for (let draw = 0; draw < n; draw++) {
      const index = Math.floor(random() * n);
      change += changes[index] ?? 0;
      count += counts[index] ?? 0;
    }
    means[resample] = change / count;
  }
  means.sort();
  return {
    difference: sum(changes) / sum(counts),
    interval: [quantile(means, (1 - LEVEL) / 2), quantile(means, (1 + LEVEL) / 2)],
  };
}

/** What an interval says: zero inside means that the measurement shows no change. */
export function direction({ interval: [low, high] }: PairedDifference): "up" | "down" | "none" {
  if (low > 0) return "up";
  return high < 0 ? "down" : "none";
}

/** Linear interpolation between order statistics (Hyndman and Fan 1996, type 7; numpy's default). */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below] ?? Number.NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? Number.NaN;
  return low + (high - low) * (place - below);
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}

function assertPaired(before: number, after: number): void {
  if (before !== after || before === 0)
    throw new RangeError(`Paired measurements need the same items on both sides and at least one: ${before} before, ${after} after.`);
}

/** Tommy Ettinger's mulberry32, a 32-bit generator of uniforms in [0, 1): the same interval on every machine. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
