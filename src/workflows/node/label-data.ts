import { type EncodedLabels, type LabelledExample, labelEncoder, type RowTargets } from "../../data/labelled-example.js";
import { type LabelChoice, type LabelledRow, recogniseLabelledText, recogniseTaggedWords } from "../../data/labelled-row.js";
import { type ClassWeighting, checkSpread, classCounts, classesOf, classWeights, valuesOf } from "../../data/labels.js";
import type { ReadOptions, ReadRows } from "../../data/node/read-rows.js";
import { shelveExamples } from "../../data/node/shelf.js";
import { mapped, type Series } from "../../data/series.js";
import { splitHeldOut } from "../../data/split.js";
import { InputError } from "../../errors.js";
import type { Labelling } from "../../lora/adapter.js";
import type { ClassificationHead } from "../../models/architecture.js";
import type { TextCodec } from "../../text/tokenizer.js";
import { encodeShelved, type PassOptions, readShelvedRows } from "./row-pass.js";
import {
  countNotes,
  type DataChoice,
  filesNotes,
  heldOutNote,
  longestExample,
  overlapNotes,
  type RunRows,
  type TaughtData,
} from "./run-data.js";

export type LabelTaskName = Labelling["task"];

/** Reads a file of rows with labels, as a task has them. */
export function readLabelledRows(
  path: string,
  task: LabelTaskName,
  choice: LabelChoice,
  options: ReadOptions = {},
  pass: PassOptions = {},
): Promise<ReadRows<LabelledRow>> {
  return task === "token-classification"
    ? readShelvedRows<LabelledRow>(path, (value) => recogniseTaggedWords(value, choice), options, pass)
    : readShelvedRows<LabelledRow>(path, (value) => recogniseLabelledText(value, choice), options, pass);
}

/** Reads a run's files. */
export async function readLabelledRun(
  { data, valid, columns, groupBy }: Pick<DataChoice, "data" | "valid" | "columns" | "groupBy">,
  task: LabelTaskName,
  pass: PassOptions,
): Promise<RunRows<LabelledRow>> {
  const required = { labels: "required" } as const;
  return {
    data: await readLabelledRows(data, task, required, { columns, groupBy }, pass),
    valid: valid === undefined ? undefined : await readLabelledRows(valid, task, required, { columns }, pass),
  };
}

/** How rows get their targets: classes by number with their weights, or values. */
export function targetsOf(rows: Series<LabelledRow>, { task, labels }: Labelling, weights: Float32Array): (row: LabelledRow) => RowTargets {
  if (task === "regression") {
    const valuesIn = valuesOf(rows);
    return (row) => {
      const targets = valuesIn(row);
      return { targets, weights: new Float32Array(targets.length).fill(1) };
    };
  }
  const classOf = classesOf(rows, labels);
  return (row) => {
    const targets = classOf(row);
    return { targets, weights: Float32Array.from(targets, (one) => weights[one] ?? 1) };
  };
}

/** Which place stands for a text. */
export function placeOf({ reads }: Pick<ClassificationHead, "reads">): "first" | "last" {
  return reads === "last" ? "last" : "first"; // for a mean any place of the text does
}

export interface LabelledRun extends TaughtData<LabelledExample> {
  readonly notes: readonly string[];
  /** Those of the notes that a report of the file lacks. */
  readonly furtherNotes: readonly string[];
  /** Every example of `data` before any was held out, with what was cut and left out. */
  readonly encoded: EncodedLabels;
}

/** Rows as a model's tokens, parted into what is learned and what measures it. */
export async function encodeLabelledRun(
  codec: TextCodec,
  rows: RunRows<LabelledRow>,
  choice: DataChoice & { readonly classWeights: ClassWeighting; readonly maxPositions: number },
  labelling: Labelling,
  head: Pick<ClassificationHead, "reads">,
  pass: PassOptions,
): Promise<LabelledRun> {
  const maxLength = longestExample(choice, choice.maxPositions);
  if (labelling.task === "regression") checkSpread(rows.data.rows);
  const counts = labelling.task === "regression" ? [] : countLabels(rows.data.rows, labelling.labels);
  const weights = classWeights(choice.classWeights, labelling.labels, counts);
  const encode = (some: Series<LabelledRow>) => {
    const encoding = { reads: placeOf(head), maxLength, overflow: choice.overflow };
    const examples = shelveExamples<LabelledExample, LabelledRow>(some, (row) => ({ row, source: row.source }));
    return encodeShelved(some, labelEncoder(codec, targetsOf(some, labelling, weights), encoding, examples), pass);
  };
  const encoded = await encode(rows.data.rows);
  if (encoded.examples.length === 0)
    throw new InputError(`${choice.data}: none of its ${rows.data.rows.length} rows has a text that fits.`);
  const own = [...filesNotes(choice.data, rows.data), ...labelNotes(labelling, counts), ...countNotes(choice.data, encoded)];
  if (rows.valid === undefined) {
    const { train, heldOut } = splitHeldOut(encoded.examples, choice.seed, choice.validShare);
    return { train, validation: heldOut, encoded, notes: [...own, heldOutNote(heldOut.length, encoded, choice)], furtherNotes: [] };
  }
  const validation = await encode(rows.valid.rows);
  const validationNotes = [...overlapNotes(encoded, validation, choice), ...countNotes(choice.valid ?? "", validation)];
  return {
    train: encoded.examples,
    validation: validation.examples,
    encoded,
    notes: [...own, ...validationNotes],
    furtherNotes: validationNotes,
  };
}

/** Labels that a note lists. */
const LISTED = 12;

/** How many labels of the rows are of each class. */
const countLabels = (rows: Series<LabelledRow>, labels: readonly string[]): number[] =>
  classCounts(labels.length, mapped(rows, classesOf(rows, labels)));

function labelNotes({ task, labels }: Labelling, counts: readonly number[]): string[] {
  if (task === "regression") return [];
  const listed = labels.slice(0, LISTED).map((label, index) => `${label} (${counts[index]})`);
  return [`labels: ${listed.join(", ")}${labels.length > LISTED ? `, and ${labels.length - LISTED} more` : ""}`];
}
