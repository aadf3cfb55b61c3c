import { rowDivergence } from "./kernels/divergence.js";

/** How far one model's predictions of the next token are from another's. */
export interface Divergence {
  /** The Kullback-Leibler divergence from the other, nats a token: the mean over tokens, and the largest. */
  readonly mean: number;
  readonly largest: number;
  /** The share of tokens at which both hold the same token for the likeliest. */
  readonly sameToken: number;
}

/** Adds up divergences, some rows of logits at a time. */
export interface DivergenceMeter {
  /** @param logits [S, V] of the model that the other is measured from; `other` likewise */
  add(logits: Float32Array, other: Float32Array, vocabulary: number): void;
  result(): Divergence;
}

export function createDivergenceMeter(): DivergenceMeter {
  let [sum, largest, same, tokens] = [0, 0, 0, 0];
  return {
    add(logits, other, vocabulary) {
      for (let row = 0; row < logits.length / vocabulary; row++) {
        const { divergence, sameToken } = rowDivergence(logits, other, row, vocabulary);
        sum += divergence;
        largest = Math.max(largest, divergence);
        same += Number(sameToken);
        tokens++;
      }
    },
    result: () => ({ mean: sum / tokens, largest, sameToken: same / tokens }),
  };
}
