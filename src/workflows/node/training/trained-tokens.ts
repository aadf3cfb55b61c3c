import { InputError } from "../../../errors.js";
import type { ModelGraph } from "../../../models/architecture.js";
import type { TextCodec } from "../../../text/tokenizer.js";
import type { Task } from "../../../training/sequence-graph.js";

/**
 * The ids of tokens that are given by their text or as ids, each once.
 *
 * @throws InputError where a text is not one token.
 */
export function trainedTokens(given: readonly (string | number)[] | undefined, { encode, vocabSize }: TextCodec): number[] | undefined {
  if (given === undefined) return undefined;
  const problems: string[] = [];
  const ids = given.map((token) => {
    const found = typeof token === "number" ? [token] : encode(token);
    const [id = -1] = found;
    if (found.length !== 1) {
      problems.push(
        `${JSON.stringify(token)} is ${found.length} tokens of this tokenizer (ids ${found.slice(0, 8).join(", ")}), not one: add it to the tokenizer first, as docs/methods.md shows, or name tokens by their ids`,
      );
    } else if (id >= vocabSize) problems.push(`${token} is no id of this tokenizer, whose last is ${vocabSize - 1}`);
    return id;
  });
  if (problems.length > 0) throw new InputError(`The tokens to train are not clear: ${problems.join("; ")}.`);
  return [...new Set(ids)];
}

/** A task's model as far as the task reads it: what does not predict the next token has no use for the vocabulary's head. */
export const learnedModel = ({ model, objective }: Task): ModelGraph => (objective === undefined ? model : { ...model, head: undefined });
