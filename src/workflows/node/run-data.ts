import type { Columns } from "../../data/columns.js";
import { type EncodedRows, type Example, type Overflow, rowEncoder } from "../../data/example.js";
import type { TaughtTokens } from "../../data/lesson.js";
import type { ReadRows } from "../../data/node/read-rows.js";
import { shelveExamples } from "../../data/node/shelf.js";
import { recogniseRow } from "../../data/recognise.js";
import { sharedPrompts } from "../../data/repetition.js";
import type { SourceRow } from "../../data/row.js";
import type { Series } from "../../data/series.js";
import { splitHeldOut } from "../../data/split.js";
import type { TextCodec } from "../../text/tokenizer.js";
import { encodeShelved, type PassOptions, readShelvedRows } from "./row-pass.js";

/** The files of a run and how their rows become examples. */
export interface DataChoice {
  readonly data: string;
  /** A file of examples that are never trained on; without it some of `data` are held out. */
  readonly valid?: string | undefined;
  /** Tokens of the longest example that is kept whole. */
  readonly maxLength: number;
  readonly overflow: Overflow;
  readonly seed: number;
  /** What the files call their columns. */
  readonly columns?: Columns | undefined;
  /** Share of the rows that is held out. */
  readonly validShare?: number | undefined;
  /** The column whose values tell which rows are held out together. */
  readonly groupBy?: string | undefined;
}

/** The rows of both files, read and recognised, not yet tokens. */
export interface RunRows<Row = SourceRow> {
  readonly data: ReadRows<Row>;
  readonly valid: ReadRows<Row> | undefined;
}

/** Examples that are trained on, and those that measure. */
export interface TaughtData<Example extends TaughtTokens = TaughtTokens> {
  readonly train: Series<Example>;
  readonly validation: Series<Example>;
}

/** Examples of a run, and what a person should know of them. */
export interface RunData extends TaughtData<Example> {
  readonly notes: readonly string[];
  /** Those of the notes that a report of the file lacks. */
  readonly furtherNotes: readonly string[];
  /** Every example of `data` before any was held out, with what was cut and left out. */
  readonly encoded: EncodedRows;
}

/** What the notes are about. */
type Encoded = Pick<EncodedRows, "counts"> & { readonly examples: Series<{ readonly prompt: string }> };

/** Reads the files; needs no model, so that a mistake in a file is told at once. */
export async function readRunRows(
  { data, valid, columns, groupBy }: Pick<DataChoice, "data" | "valid" | "columns" | "groupBy">,
  pass: PassOptions,
): Promise<RunRows> {
  return {
    data: await readShelvedRows<SourceRow>(data, recogniseRow, { columns, groupBy }, pass),
    valid: valid === undefined ? undefined : await readShelvedRows<SourceRow>(valid, recogniseRow, { columns }, pass),
  };
}

/** The longest example that a model takes. */
export function longestExample(choice: DataChoice, maxPositions: number): number {
  return Math.min(choice.maxLength, maxPositions);
}

/** Rows as a model's tokens, parted into what is learned and what measures it. */
export async function encodeRun(
  codec: TextCodec,
  rows: RunRows,
  choice: DataChoice,
  maxPositions: number,
  pass: PassOptions,
): Promise<RunData> {
  const options = { maxLength: longestExample(choice, maxPositions), overflow: choice.overflow };
  const encode = (some: Series<SourceRow>) =>
    encodeShelved(
      some,
      rowEncoder(
        codec,
        options,
        shelveExamples<Example, SourceRow>(some, ({ row, source }) => ({ row, source })),
      ),
      pass,
    );
  const encoded = await encode(rows.data.rows);
  const labels = labelsNote(choice.data, rows.data.rows);
  const own = [...filesNotes(choice.data, rows.data), ...labels, ...countNotes(choice.data, encoded)];
  if (rows.valid === undefined) {
    const { train, heldOut } = splitHeldOut(encoded.examples, choice.seed, choice.validShare);
    return { train, validation: heldOut, encoded, notes: [...own, heldOutNote(heldOut.length, encoded, choice)], furtherNotes: labels };
  }
  const validation = await encode(rows.valid.rows);
  const validationNotes = [
    ...filesNotes(choice.valid ?? "", rows.valid),
    ...overlapNotes(encoded, validation, choice),
    ...countNotes(choice.valid ?? "", validation),
  ];
  const notes = [...own, ...validationNotes];
  return { train: encoded.examples, validation: validation.examples, encoded, notes, furtherNotes: [...labels, ...validationNotes] };
}

function labelsNote(file: string, rows: Series<SourceRow>): string[] {
  let count = 0;
  for (const { hasLabel } of rows) if (hasLabel) count++;
  return count === 0
    ? []
    : [
        `${file}: ${count} rows have a "label", which the task sft does not read: their texts are learned word by word. For labels, take --task classification or regression`,
      ];
}

/** Files of a folder that a note lists. */
const listedFiles = 10;

/** Which files of a folder were read. */
export function filesNotes(path: string, { files }: Pick<ReadRows, "files">): string[] {
  if (files.length === 1 && files[0] === path) return [];
  const shown = files.slice(0, listedFiles).join(", ");
  return [`${path}: rows of ${files.length === 1 ? "" : `${files.length} files: `}${shown}${files.length > listedFiles ? ", …" : ""}`];
}

export function heldOutNote(count: number, { examples }: Encoded, { seed, groupBy }: DataChoice): string {
  if (count === 0) return "nothing could be held out for validation; give examples of their own with --valid";
  const groups = groupBy === undefined ? "" : `; rows of one ${groupBy} stay together`;
  return `${count} of ${examples.length} examples are held out for validation (seed ${seed}${groups})`;
}

export function overlapNotes(train: Encoded, validation: Encoded, { data, valid }: DataChoice): string[] {
  const leaked = sharedPrompts(validation.examples, train.examples);
  if (leaked === 0) return [];
  return [`${leaked} of ${validation.examples.length} prompts in ${valid} are also in ${data}: the validation loss will look too good`];
}

export function countNotes(file: string, { counts }: Encoded): string[] {
  const notes: string[] = [];
  if (counts.cut > 0) notes.push(`${file}: ${counts.cut} examples are longer than --max-length and cut at their end`);
  if (counts.droppedTooLong > 0) notes.push(`${file}: ${counts.droppedTooLong} examples are too long and left out`);
  if (counts.droppedEmpty > 0) notes.push(`${file}: ${counts.droppedEmpty} examples have nothing to learn and are left out`);
  return notes;
}
