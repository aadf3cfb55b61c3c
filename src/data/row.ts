import type { Message } from "../text/tokenizer.js";
import { shortKey } from "./distinct.js";

/** Where a row stands in its file, for messages; lines count from 1. */
export interface RowSource {
  readonly file: string;
  readonly line: number;
}

/** The forms that rows are recognised as, by their keys. */
export type RowForm = "messages" | "prompt-completion" | "text" | "alpaca" | "sharegpt";

/** A row, brought to one of three kinds. */
export type Row =
  /** A conversation. Assistant messages from `learnFrom` on are learned. */
  | {
      readonly kind: "chat";
      readonly messages: readonly Message[];
      readonly tools?: readonly unknown[];
      /** Further variables of the chat template (`enable_thinking`). */
      readonly templateVariables?: Readonly<Record<string, unknown>>;
      readonly learnFrom: number;
    }
  /** A prompt and its answer: a turn of the user and one of the assistant where the model has a chat template, else bare text. */
  | { readonly kind: "completion"; readonly system?: string; readonly prompt: string; readonly completion: string }
  /** A document, learned whole. */
  | { readonly kind: "text"; readonly text: string };

export interface SourceRow {
  readonly row: Row;
  readonly form: RowForm;
  /** The row of a document has a label too, of which an answer knows nothing. */
  readonly hasLabel?: true;
  readonly source: RowSource;
  /** What it has in the column by which rows are grouped; see `ReadOptions`. */
  readonly group?: string;
}

const isAnswer = (message: Message, index: number, learnFrom: number): boolean =>
  message.role === "assistant" && index >= learnFrom && message.weight !== 0;

/** The key of a prompt, whatever its spacing. */
export const keyOfPrompt = (prompt: string): string => shortKey(prompt.replace(/\s+/g, " ").trim());

/**
 * The key by which rows count as having one prompt, so that they are held out together: what the user says before the first
 * learned answer, whatever the system message and the spacing; a document is its own.
 */
export function promptKey(row: Row): string {
  if (row.kind === "text") return keyOfPrompt(row.text);
  if (row.kind === "completion") return keyOfPrompt(row.prompt);
  const first = row.messages.findIndex((message, index) => isAnswer(message, index, row.learnFrom));
  const before = first < 0 ? row.messages : row.messages.slice(0, first);
  const asked = before.filter((message) => message.role !== "system" && message.role !== "developer");
  return keyOfPrompt(asked.map((message) => message.content).join("\n"));
}

/** A row as a question with its expected answer: the last learned answer and all that stands before it. */
export interface Question {
  readonly messages: readonly Message[];
  readonly tools?: readonly unknown[];
  readonly templateVariables?: Readonly<Record<string, unknown>>;
  readonly expected: string;
}

const turnsOf = (row: Extract<Row, { kind: "completion" }>): Message[] => [
  ...(row.system === undefined ? [] : [{ role: "system", content: row.system }]),
  { role: "user", content: row.prompt },
];

/** The conversation that a prompt and its answer stand for. */
export const completionMessages = (row: Extract<Row, { kind: "completion" }>): Message[] => [
  ...turnsOf(row),
  { role: "assistant", content: row.completion },
];

/** The question in a row, undefined where it has none (a document, a conversation without an answer). */
export function questionOf(row: Row): Question | undefined {
  if (row.kind === "text") return undefined;
  if (row.kind === "completion") return { messages: turnsOf(row), expected: row.completion };
  const last = row.messages.findLastIndex((message, index) => isAnswer(message, index, row.learnFrom));
  const answer = row.messages[last];
  if (answer === undefined) return undefined;
  return {
    messages: row.messages.slice(0, last),
    expected: answer.content,
    ...(row.tools === undefined ? {} : { tools: row.tools }),
    ...(row.templateVariables === undefined ? {} : { templateVariables: row.templateVariables }),
  };
}
