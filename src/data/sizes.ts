import { lessonOf, type TaughtTokens } from "./lesson.js";
import type { Series } from "./series.js";

/** How much there is of each of some examples: all that is needed to say which batches they make. */
export interface Sizes {
  /** Tokens of the example; of a pair those of its first text. */
  readonly tokens: Int32Array; // [N]
  /** Those that are read. */
  readonly read: Int32Array; // [N]
  /** Tokens of the other text of a pair; 0 where there is none. */
  readonly partner: Int32Array; // [N]
  /** Places at which something is learned. */
  readonly places: Int32Array; // [N]
}

const known = new WeakMap<Series<TaughtTokens>, Sizes>();

/** The sizes of examples, which are read once for it. Examples do not change. */
export function sizesOf(examples: Series<TaughtTokens>): Sizes {
  const before = known.get(examples);
  if (before !== undefined) return before;
  const column = () => new Int32Array(examples.length);
  const sizes = { tokens: column(), read: column(), partner: column(), places: column() };
  let index = 0;
  for (const example of examples) {
    const { read, places, partner } = lessonOf(example);
    sizes.tokens[index] = example.ids.length;
    sizes.read[index] = read;
    sizes.partner[index] = partner?.ids.length ?? 0;
    sizes.places[index] = places.length;
    index++;
  }
  known.set(examples, sizes);
  return sizes;
}

/** Tokens of each example, both texts of a pair together. */
export const lengthsOf = (examples: Series<TaughtTokens>): Int32Array => {
  const { tokens, partner } = sizesOf(examples);
  return tokens.map((count, index) => count + (partner[index] ?? 0));
};

/** Tokens of the longest text; 0 of none. */
export function longestText(examples: Series<TaughtTokens>): number {
  const { tokens, partner } = sizesOf(examples);
  return Math.max(largest(tokens), largest(partner));
}

/** No example has more learned places. */
export const mostPlaces = (examples: Series<TaughtTokens>): number => largest(sizesOf(examples).places);

const largest = (values: Int32Array): number => values.reduce((most, value) => Math.max(most, value), 0);
