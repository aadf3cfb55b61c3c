import { Distinct, type Fingerprint, fingerprintOf, fingerprintOfText } from "./distinct.js";
import type { Series } from "./series.js";

/** What is compared of an example. */
export interface Compared {
  readonly ids: Int32Array;
  readonly prompt: string;
  /** The other text of a pair. */
  readonly partner?: { readonly ids: Int32Array } | undefined;
  /** Labels, or values. */
  readonly targets?: ArrayLike<number>;
}

/** Validation examples that say what training examples say. */
export interface Overlap {
  /** Those with a prompt that is trained on too. */
  readonly prompts: number;
  /** Those that are trained on as they are, token for token. */
  readonly examples: number;
}

/** Examples that are, token for token and label for label, the same as an earlier one. */
export function countDuplicates(examples: Series<Compared>): number {
  return examples.length - distinct(examples, contents).size;
}

/** How many prompts examples have. */
export const countPrompts = (examples: Series<Pick<Compared, "prompt">>): number => distinct(examples, promptOf).size;

export function overlapOf(train: Series<Compared>, validation: Series<Compared>): Overlap {
  const [prompts, examples] = [distinct(train, promptOf), distinct(train, contents)];
  const overlap = { prompts: 0, examples: 0 };
  for (const example of validation) {
    if (prompts.has(promptOf(example))) overlap.prompts++;
    if (examples.has(contents(example))) overlap.examples++;
  }
  return overlap;
}

/** How many of some examples have a prompt that others have too. */
export function sharedPrompts(of: Series<Pick<Compared, "prompt">>, others: Series<Pick<Compared, "prompt">>): number {
  const known = distinct(others, promptOf);
  let count = 0;
  for (const example of of) if (known.has(promptOf(example))) count++;
  return count;
}

function distinct<T>(values: Iterable<T>, keyOf: (value: T) => Fingerprint): Distinct {
  const found = new Distinct();
  for (const value of values) found.number(keyOf(value));
  return found;
}

const promptOf = ({ prompt }: Pick<Compared, "prompt">): Fingerprint => fingerprintOfText(prompt);

/** All that an example says: its texts, and what it tells. */
const contents = ({ ids, partner, targets = [] }: Compared): Fingerprint =>
  fingerprintOf(
    ids,
    partner?.ids ?? [],
    Int32Array.from(targets, (target) => Math.round(1e4 * target)),
  );
