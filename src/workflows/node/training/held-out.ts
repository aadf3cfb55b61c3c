import { createRandom } from "../../../data/random.js";
import { pick, type Series } from "../../../data/series.js";

/** Examples of the part that chooses: measuring more during training would cost more than it tells. */
const MOST = 100;

export interface HeldOutParts<Example> {
  /** Measured during training: the adapter with the lowest loss on them is kept. */
  readonly choosing: readonly Example[];
  /** Measured at the end, with the adapter off and on. */
  readonly scoring: readonly Example[];
  /** How many of `scoring` are in `choosing` too. */
  readonly shared: number;
}

/**
 * Parts held-out examples by seed into those that choose the adapter and those that score it: different ones as far as there
 * are enough, since the best of several adapters looks better on the examples that chose it. Both keep the file's order.
 *
 * @param mostScoring examples that score at most: an interval narrows slowly beyond
 */
export function partHeldOut<Example>(examples: Series<Example>, seed: number, mostScoring = MOST): HeldOutParts<Example> {
  const order = Array.from({ length: examples.length }, (_, index) => index);
  createRandom(seed, "held-out/parts").shuffle(order);
  const inOrder = (indexes: number[]) =>
    pick(
      examples,
      indexes.sort((a, b) => a - b),
    );
  const count = examples.length;
  const choosing = Math.min(MOST, count);
  const firstScoring = Math.max(count - mostScoring, Math.min(choosing, count - Math.min(MOST, count)));
  return {
    choosing: inOrder(order.slice(0, choosing)),
    scoring: inOrder(order.slice(firstScoring)),
    shared: Math.max(0, choosing - firstScoring),
  };
}

/** What a person should know of the parts; nothing where they are separate. */
export function sharedNote({ scoring, shared }: HeldOutParts<unknown>): string | undefined {
  if (shared === 0) return undefined;
  const which = shared === scoring.length ? `the same ${shared}` : `${shared} of the ${scoring.length}`;
  return `${which} held-out examples that score the adapter at the end also choose it among the updates: its score may look slightly too good`;
}
