import type { Series } from "../data/series.js";

/** A sequence to be scored: token ids, and for each whether the model is asked to predict it. The first token never is: nothing precedes it. */
export interface ScoredSequence {
  readonly ids: ArrayLike<number>;
  readonly supervised: ArrayLike<number | boolean>;
}

/** The summed negative log-likelihood of a sequence's supervised tokens, in nats, and their number. */
export interface TokenLoss {
  readonly nll: number;
  readonly count: number;
}

/** A model to be measured, with its adapter or without. How it computes, and in what batches, is its own affair. */
export interface Subject {
  /** The loss of each sequence, in the given order. */
  score(examples: Series<ScoredSequence>, signal?: AbortSignal): Promise<readonly TokenLoss[]>;
  /** Greedy text for each prompt (token ids), stopped at the end of the turn, in the given order. */
  complete(
    prompts: Series<readonly number[]>,
    options: { readonly maxNewTokens: number; readonly signal?: AbortSignal },
  ): Promise<readonly string[]>;
}
