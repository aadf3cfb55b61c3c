import { InputError } from "../errors.js";
import { encodeChat, encodePrompt } from "../text/rendering.js";
import type { TextCodec } from "../text/tokenizer.js";
import { completionMessages, promptKey, questionOf, type Row, type RowForm, type RowSource, type SourceRow } from "./row.js";
import { type Collector, inArray, type Series } from "./series.js";

/** A row as token ids, ready for a batch. */
export interface Example {
  readonly ids: Int32Array; // [T]
  /** 1 where the token is learned. The first is always 0: nothing stands before it. */
  readonly supervised: Uint8Array; // [T]
  readonly source: RowSource;
  /** Rows of one prompt have the same key, and are held out together. */
  readonly prompt: string;
  /** As in `SourceRow`: rows of one group are held out together in place of those of one prompt. */
  readonly group?: string;
  readonly row: Row;
}

/** Why an example was left out, or what was done to it. */
export interface ExampleCounts {
  /** Rows read. */
  rows: number;
  /** Too long, cut at its end; at least one learned token stayed. */
  cut: number;
  /** Too long, and cutting would have left nothing to learn. */
  droppedTooLong: number;
  /** Nothing to learn in it (no answer, or an empty one). */
  droppedEmpty: number;
}

/** What happens to an example that is too long: cut at its end, or left out. */
export type Overflow = "cut" | "drop";

/** The rule for long examples, in words. */
export const longExampleRules: Readonly<Record<Overflow, string>> = {
  cut: "An example longer than --max-length is cut at its end if at least one learned token stays; otherwise it is left out. Both are counted.",
  drop: "An example longer than --max-length is left out, and counted.",
};

export interface EncodeOptions {
  /** Tokens of the longest example that is kept whole. */
  readonly maxLength: number;
  /** Default: cut. */
  readonly overflow?: Overflow;
}

interface Encoded {
  readonly ids: readonly number[];
  readonly supervised: readonly boolean[];
}

/** A document: opened and closed as the tokenizer opens and ends texts, control tokens in it read as such, all of it learned. */
function encodeDocument(codec: TextCodec, text: string): Encoded {
  if (text.trim() === "") return { ids: [], supervised: [] };
  const body = codec.encode(text);
  const opens = codec.startIds.every((id, index) => body[index] === id) ? [] : codec.startIds;
  const last = body.at(-1);
  const isClosed = last !== undefined && (last === codec.endOfTextId || codec.endOfTurnIds.includes(last));
  const end = codec.endOfTextId === undefined || isClosed ? [] : [codec.endOfTextId];
  const ids = [...opens, ...body, ...end];
  return { ids, supervised: ids.map((_, index) => index >= opens.length) };
}

/** The bare text of a prompt for a model without a chat template. */
const barePrompt = (row: Extract<Row, { kind: "completion" }>): string =>
  row.system === undefined || row.system === "" ? row.prompt : `${row.system}\n\n${row.prompt}`;

/** Prompt and answer as bare text, tokenised apart, so that the prompt's ids are those that generation will see. */
function encodeBareCompletion(codec: TextCodec, row: Extract<Row, { kind: "completion" }>): Encoded {
  const prompt = encodeBarePrompt(codec, barePrompt(row));
  const answer = codec.align(row.completion, [], false).ids;
  const end = codec.endOfTextId === undefined ? [] : [codec.endOfTextId];
  return {
    ids: [...prompt, ...answer, ...end],
    supervised: [...prompt.map(() => false), ...answer.map(() => true), ...end.map(() => true)],
  };
}

const encodeBarePrompt = (codec: TextCodec, prompt: string): number[] => [...codec.startIds, ...codec.encode(prompt, { special: false })];

/** The ids of a row, and which are learned. */
export function encodeRow(codec: TextCodec, row: Row): Encoded {
  switch (row.kind) {
    case "text":
      return encodeDocument(codec, row.text);
    case "chat":
      return encodeChat(codec, row.messages, { tools: row.tools, variables: row.templateVariables, learnFrom: row.learnFrom });
    case "completion":
      return codec.chatTemplate === undefined ? encodeBareCompletion(codec, row) : encodeChat(codec, completionMessages(row));
  }
}

/** The ids from which a model is to answer the row's question, as in training; undefined where the row asks none. */
export function encodeQuestion(codec: TextCodec, row: Row): { ids: number[]; expected: string } | undefined {
  const question = questionOf(row);
  if (question === undefined) return undefined;
  if (row.kind === "completion" && codec.chatTemplate === undefined) {
    return { ids: encodeBarePrompt(codec, barePrompt(row)), expected: row.completion };
  }
  return {
    ids: encodePrompt(codec, question.messages, { tools: question.tools, variables: question.templateVariables }),
    expected: question.expected,
  };
}

/** The ids of a bare prompt (`--prompt TEXT`): a turn of the user where the model has a chat template, else the text itself. */
export function encodeUserPrompt(codec: TextCodec, prompt: string): number[] {
  return codec.chatTemplate === undefined ? encodeBarePrompt(codec, prompt) : encodePrompt(codec, [{ role: "user", content: prompt }]);
}

function toExample(
  encoded: Encoded,
  sourceRow: SourceRow,
  { maxLength, overflow }: EncodeOptions,
  counts: ExampleCounts,
): Example | undefined {
  const learned = (from: number, to: number) => encoded.supervised.slice(from, to).includes(true);
  if (!learned(1, encoded.ids.length)) {
    counts.droppedEmpty++;
    return undefined;
  }
  const length = Math.min(encoded.ids.length, maxLength);
  if (length < encoded.ids.length) {
    if (overflow === "drop" || !learned(1, length)) {
      counts.droppedTooLong++;
      return undefined;
    }
    counts.cut++;
  }
  const supervised = Uint8Array.from(encoded.supervised.slice(0, length), Number);
  supervised[0] = 0;
  const { row, source, group } = sourceRow;
  const ids = Int32Array.from(encoded.ids.slice(0, length));
  return { ids, supervised, source, prompt: promptKey(row), ...(group === undefined ? {} : { group }), row };
}

/** Rows that the template refuses are named, up to this many. */
const namedRefusals = 10;

/** Rows that became examples. */
export interface EncodedRows<Examples extends Series<Example> = Series<Example>> {
  readonly examples: Examples;
  readonly counts: Readonly<ExampleCounts>;
  readonly forms: Readonly<Partial<Record<RowForm, number>>>;
  /** The first row with tools that became an example. */
  readonly withTools: Row | undefined;
}

/** Makes examples of rows, one after the other. */
export interface RowEncoder<Row, Encoded> {
  add(row: Row, index: number): void;
  /** What came of all of them. @throws InputError where rows were refused, or nothing is left */
  result(): Encoded;
}

/**
 * Rows as examples of at most `maxLength` tokens; see `longExampleRules`.
 * @throws InputError when the template refuses rows (the first ten are named), or when no example is left.
 */
export function encodeRows(codec: TextCodec, rows: readonly SourceRow[], options: EncodeOptions): EncodedRows<readonly Example[]> {
  const encoder = rowEncoder(codec, options, inArray<Example>());
  for (const [index, row] of rows.entries()) encoder.add(row, index);
  return encoder.result();
}

/** The same, row by row. */
export function rowEncoder<Examples extends Series<Example>>(
  codec: TextCodec,
  options: EncodeOptions,
  into: Collector<Example, Examples>,
): RowEncoder<SourceRow, EncodedRows<Examples>> {
  const counts: ExampleCounts = { rows: 0, cut: 0, droppedTooLong: 0, droppedEmpty: 0 };
  const forms: Partial<Record<RowForm, number>> = {};
  const refused: string[] = [];
  let refusals = 0;
  let file = "The data";
  let withTools: Row | undefined;
  return {
    add(sourceRow, index) {
      const { form, row, source } = sourceRow;
      if (counts.rows++ === 0) file = source.file;
      forms[form] = (forms[form] ?? 0) + 1;
      try {
        const example = toExample(encodeRow(codec, row), sourceRow, options, counts);
        if (example === undefined) return;
        into.push(example, index);
        if (row.kind === "chat" && row.tools !== undefined) withTools ??= row;
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        if (++refusals <= namedRefusals) refused.push(`${source.file}:${source.line}: ${error.message}`);
      }
    },
    result() {
      if (refusals > 0) {
        const more = refusals > namedRefusals ? [`… and ${refusals - namedRefusals} more rows.`] : [];
        throw new InputError([...refused, ...more].join("\n"));
      }
      if (into.series.length === 0) throw new InputError(nothingLeft(file, counts, options.maxLength));
      return { examples: into.series, counts, forms, withTools };
    },
  };
}

function nothingLeft(file: string, counts: ExampleCounts, maxLength: number): string {
  const reasons = [
    ...(counts.droppedEmpty > 0 ? [`${counts.droppedEmpty} have nothing to learn (no assistant message, or an empty answer)`] : []),
    ...(counts.droppedTooLong > 0
      ? [`${counts.droppedTooLong} have no answer within the first ${maxLength} tokens (raise --max-length)`]
      : []),
  ];
  return `${file}: none of its ${counts.rows} rows can be trained on: ${reasons.join("; ")}.`;
}
