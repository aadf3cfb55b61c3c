import type { Random } from "../data/random.js";

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

export const GREEDY: SamplingSettings = { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1 };

/**
 * Chooses the next token.
 *
 * @param logits [V], overwritten by the repetition penalty
 * @param seen tokens of the prompt and of the answer so far
 */
export function chooseToken(logits: Float32Array, seen: Iterable<number>, settings: SamplingSettings, random: Random): number {
  if (settings.repetitionPenalty !== 1) penalise(logits, new Set(seen), settings.repetitionPenalty);
  if (settings.temperature === 0) return argMax(logits);
  return draw(nucleus(candidates(logits, settings), settings.topP), random);
}

/** The index of the largest value, the first of equals. */
export function argMax(values: Float32Array): number {
  let best = 0;
  let top = Number.NEGATIVE_INFINITY;
  for (const [index, value] of values.entries()) {
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

interface Candidate {
  readonly id: number;
  readonly probability: number;
}

/** Tokens by falling probability, softmax(logits / temperature) over the k likeliest. */
function candidates(logits: Float32Array, { temperature, topK }: SamplingSettings): Candidate[] {
  const order = Uint32Array.from(logits.keys()).sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
  const kept = topK > 0 ? order.subarray(0, topK) : order;
  const top = logits[kept[0] ?? 0] ?? 0;
  const weights = Array.from(kept, (id) => Math.exp(((logits[id] ?? 0) - top) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Array.from(kept, (id, rank) => ({ id, probability: (weights[rank] ?? 0) / total }));
}

/** The smallest set of the likeliest whose probabilities reach p. */
function nucleus(ranked: readonly Candidate[], p: number): readonly Candidate[] {
  if (p >= 1) return ranked;
  let sum = 0;
  for (const [rank, { probability }] of ranked.entries()) {
    sum += probability;
    if (sum >= p) return ranked.slice(0, rank + 1);
  }
  return ranked;
}

function draw(ranked: readonly Candidate[], random: Random): number {
  const total = ranked.reduce((sum, { probability }) => sum + probability, 0);
  let left = random.uniform() * total;
  for (const { id, probability } of ranked) {
    left -= probability;
    if (left < 0) return id;
  }
  return ranked.at(-1)?.id ?? 0;
}
