import { type Example, encodeQuestion } from "../data/example.js";
import { questionOf, type Row } from "../data/row.js";
import type { TextCodec } from "../text/tokenizer.js";

/** A prompt with its expected answer. */
export interface Question {
  /** The prompt as the model is to see it, up to where the answer begins. */
  readonly ids: readonly number[];
  /** The prompt as a person reads it. */
  readonly text: string;
  readonly expected: string;
}

/**
 * The questions that examples ask. Documents ask none, and prompts of more than `maxTokens` are left out: a conversation that
 * was cut for training would be asked whole.
 */
export function* questionsOf(codec: TextCodec, examples: Iterable<Example>, maxTokens: number): Generator<Question> {
  for (const { row } of examples) {
    const question = encodeQuestion(codec, row);
    if (question !== undefined && question.ids.length <= maxTokens) yield { ...question, text: lastTurn(row) };
  }
}

/** What was said last before the answer. */
function lastTurn(row: Row): string {
  return questionOf(row)?.messages.at(-1)?.content ?? "";
}
