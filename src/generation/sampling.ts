import type { Random } from "../data/random.js";
import { RunError } from "../errors.js";

/** How the next token is chosen from the logits. */
export interface SamplingSettings {
  /** 0 takes the likeliest token; 1 draws from the model's own distribution. */
  readonly temperature: number;
  /** Only the k likeliest tokens; 0 for all. */
  readonly topK: number;
  /** Only the likeliest tokens that together hold this share of the probability (Holtzman et al. 2020); 1 for all. */
  readonly topP: number;
  /** Divides positive and multiplies negative logits of tokens seen before (Keskar et al. 2019, section 4.1); 1 for none. */
  readonly repetitionPenalty: number;
}

/**
 * Chooses the next token.
 *
 * @param logits [V], overwritten by the repetition penalty
 * @param seen tokens of the prompt and of the answer so far
 */
export function chooseToken(logits: Float32Array, seen: Iterable<number>, settings: SamplingSettings, random: Random): number {
  if (settings.repetitionPenalty !== 1) penalise(logits, new Set(seen), settings.repetitionPenalty);
  if (settings.temperature === 0) return argMax(logits);
  return draw(candidates(logits, settings), random);
}

/**
 * Refuses logits of which one is no number: any choice among them would be made up.
 *
 * @param position the answer's token that they are for, from 1
 * @throws RunError
 */
export function assertNumbers(logits: Float32Array, position: number): void {
  if (!logits.some(Number.isNaN)) return;
  throw new RunError(
    `The model gave no numbers for token ${position} of its answer (NaN). Most likely the adapter or the model's weights are damaged, or the ` +
      "adapter's training ran away: answer without the adapter to see which, then train it again with a lower --lr, or fetch the model again.",
  );
}

/** The index of the largest value, the first of equals. */
export function argMax(values: Float32Array): number {
  let best = 0;
  let top = Number.NEGATIVE_INFINITY;
  // A plain loop: this runs over the whole vocabulary for each token, and an iterator would make a pair for each logit.
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? Number.NaN;
    if (value > top) {
      top = value;
      best = index;
    }
  }
  return best;
}

function penalise(logits: Float32Array, seen: ReadonlySet<number>, penalty: number): void {
  for (const id of seen) {
    const logit = logits[id];
    if (logit !== undefined) logits[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
}

/** Tokens that may be drawn, with their weights; `total` is the weights' sum. */
interface Candidates {
  readonly ids: readonly number[];
  readonly weights: readonly number[];
  readonly total: number;
}

function candidates(logits: Float32Array, { temperature, topK, topP }: SamplingSettings): Candidates {
  const ids = likeliest(logits, topK);
  const top = ids.reduce((highest, id) => Math.max(highest, logits[id] ?? highest), Number.NEGATIVE_INFINITY);
  const weights = ids.map((id) => Math.exp(((logits[id] ?? top) - top) / temperature));
  const all = { ids, weights, total: sumOf(weights) };
  return topP < 1 ? nucleus(all, topP) : all;
}

/** The k likeliest tokens, the earlier of equals, in the order of the vocabulary; all of them for k = 0. */
function likeliest(logits: Float32Array, k: number): number[] {
  const all = Array.from(logits.keys());
  if (k === 0 || k >= logits.length) return all;
  // Sorting bare numbers is native, ten times faster than sorting ids by their numbers.
  const least = logits.toSorted()[logits.length - k] ?? 0;
  const above = all.filter((id) => (logits[id] ?? 0) > least);
  const equal = all.filter((id) => logits[id] === least).slice(0, k - above.length);
  return [...above, ...equal].sort((a, b) => a - b);
}

/**
 * The smallest set of the likeliest whose share reaches p. Tokens that are each rarer than (1 − p)/n together hold less
 * than 1 − p, so the set is full before their turn: only the others are sorted.
 */
function nucleus({ ids, weights, total }: Candidates, p: number): Candidates {
  const rarest = ((1 - p) * total) / ids.length;
  const ranked = ids.map((id, index) => ({ id, weight: weights[index] ?? 0 })).filter(({ weight }) => weight >= rarest);
  ranked.sort((a, b) => b.weight - a.weight || a.id - b.id);
  let sum = 0;
  const end = ranked.findIndex(({ weight }) => {
    sum += weight;
    return sum >= p * total;
  });
  const kept = end < 0 ? ranked : ranked.slice(0, end + 1);
  return { ids: kept.map(({ id }) => id), weights: kept.map(({ weight }) => weight), total: sumOf(kept.map(({ weight }) => weight)) };
}

function draw({ ids, weights, total }: Candidates, random: Random): number {
  let left = random.uniform() * total;
  for (const [index, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return ids[index] ?? 0;
  }
  return ids.at(-1) ?? 0;
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
