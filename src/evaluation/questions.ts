import { type Example, encodeQuestion } from "../data/example.js";
import type { TextCodec } from "../text/tokenizer.js";

/** A prompt with its expected answer. */
export interface Question {
  /** The prompt as the model is to see it, up to where the answer begins. */
  readonly ids: readonly number[];
  /** The prompt as a person reads it. */
  readonly text: string;
  readonly expected: string;
}

/** The questions that examples ask; documents ask none. */
export function questionsOf(codec: TextCodec, examples: readonly Example[]): Question[] {
  return examples.flatMap((example) => {
    const question = encodeQuestion(codec, example.row);
    return question === undefined ? [] : [{ ...question, text: example.prompt }];
  });
}
