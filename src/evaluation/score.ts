import type { Series } from "../data/series.js";
import { RunError } from "../errors.js";
import type { ScoredSequence, Subject, TokenLoss } from "./subject.js";

/**
 * The loss of each sequence, every one a number.
 *
 * @param what what a sequence is called in messages
 * @throws RunError where the model computes NaN or infinity, or other than one loss for each.
 */
export async function scoreSequences(
  subject: Subject,
  sequences: Series<ScoredSequence>,
  what: string,
  signal?: AbortSignal,
): Promise<readonly TokenLoss[]> {
  const losses = await subject.score(sequences, signal);
  if (losses.length !== sequences.length) throw new RunError(`Expected ${sequences.length} losses from the model, found ${losses.length}.`);
  const bad = losses.findIndex(({ nll }) => !Number.isFinite(nll));
  if (bad >= 0)
    throw new RunError(
      `The loss of ${what} ${bad + 1} is ${losses[bad]?.nll}, not a number: the adapter's weights have run away. Train again with a lower --lr. ` +
        "If the model alone does it, too, fetch the model again.",
    );
  return losses;
}
