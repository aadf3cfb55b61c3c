import { createRandom } from "../../src/data/random.js";
import type { SourceRow } from "../../src/data/row.js";
import { InputError } from "../../src/errors.js";

// E2E NLG (Novikova et al. 2017, "The E2E Dataset: New Challenges For End-to-End Generation", CC BY-SA 4.0): facts on a restaurant, and
// texts that people wrote about them. Lines are `facts||text`, as in microsoft/LoRA, examples/NLG/data/e2e.

/** A meaning representation with one of its texts. */
export interface Pair {
  readonly meaning: string;
  readonly text: string;
}

/** What a run learns from and is measured on: no meaning representation is in more than one part. */
export interface Parts {
  /** All texts of half of the meaning representations. */
  readonly learned: readonly Pair[];
  /** One text each of others: their losses are what is reported. */
  readonly scored: readonly Pair[];
  /** One text each of still others, on which learning rates are chosen. */
  readonly choosing: readonly Pair[];
}

const SEPARATOR = "||";

/**
 * @param name what the text is called in messages, such as the file's path
 * @throws InputError naming the first line that is not `facts||text`
 */
export function readPairs(file: string, name: string): Pair[] {
  const lines = file.split(/\r?\n/);
  return lines.flatMap((line, index) => {
    if (line.trim() === "") return [];
    const at = line.indexOf(SEPARATOR);
    const [meaning, text] = [line.slice(0, at).trim(), line.slice(at + SEPARATOR.length).trim()];
    if (at < 1 || meaning === "" || text === "")
      throw new InputError(`${name}:${index + 1}: expected facts${SEPARATOR}text, found ${JSON.stringify(line.slice(0, 60))}.`);
    return [{ meaning, text }];
  });
}

/** @throws InputError where there are too few meaning representations for the parts */
export function partByMeaning(pairs: readonly Pair[], seed: number, sizes: { readonly scored: number; readonly choosing: number }): Parts {
  const byMeaning = new Map<string, Pair[]>();
  for (const pair of pairs) byMeaning.set(pair.meaning, [...(byMeaning.get(pair.meaning) ?? []), pair]);
  const order = [...byMeaning.keys()].sort();
  const random = createRandom(seed, "e2e/parts");
  random.shuffle(order);
  const half = Math.floor(order.length / 2);
  const wanted = sizes.scored + sizes.choosing;
  if (wanted > order.length - half)
    throw new InputError(`expected at least ${2 * wanted} different meaning representations, found ${order.length}.`);
  const one = (meaning: string): Pair[] => {
    const texts = byMeaning.get(meaning) ?? [];
    return texts.slice(random.below(texts.length)).slice(0, 1);
  };
  const heldOut = order.slice(half);
  return {
    learned: order.slice(0, half).flatMap((meaning) => byMeaning.get(meaning) ?? []),
    scored: heldOut.slice(0, sizes.scored).flatMap(one),
    choosing: heldOut.slice(sizes.scored, wanted).flatMap(one),
  };
}

const SYSTEM = "Describe the restaurant.";

/** A pair as a turn of the user and the answer to it. */
export const rowOf = ({ meaning, text }: Pair) => ({ system: SYSTEM, prompt: meaning, completion: text });

export const sourceRow = (pair: Pair, index: number): SourceRow => ({
  row: { kind: "completion", ...rowOf(pair) },
  form: "prompt-completion",
  source: { file: "E2E NLG", line: index + 1 },
});
