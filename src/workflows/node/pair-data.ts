import type { ExampleCounts, RowEncoder } from "../../data/example.js";
import type { ReadOptions } from "../../data/node/read-rows.js";
import { shelveExamples } from "../../data/node/shelf.js";
import { type PairExample, type PairRow, recognisePair } from "../../data/pair.js";
import type { EncodedPairs } from "../../data/pair-report.js";
import { keyOfPrompt } from "../../data/row.js";
import { type Collector, type Series, select } from "../../data/series.js";
import { splitHeldOut } from "../../data/split.js";
import { InputError } from "../../errors.js";
import type { TextCodec } from "../../text/tokenizer.js";
import type { Pooling } from "../../training/objectives/embedding-pairs.js";
import { encodedText } from "./embedded-text.js";
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

/** Fewer pairs have nothing to tell a positive from. */
const FEWEST = 2;

export async function readPairRun(
  { data, valid, columns, groupBy }: Pick<DataChoice, "data" | "valid" | "columns" | "groupBy">,
  pass: PassOptions,
): Promise<RunRows<PairRow>> {
  const read = (path: string, options: ReadOptions) => readShelvedRows<PairRow>(path, recognisePair, options, pass);
  return { data: await read(data, { columns, groupBy }), valid: valid === undefined ? undefined : await read(valid, { columns }) };
}

/** How a run reads pairs. */
export interface PairChoice extends DataChoice {
  /** Pairs that are told from one another. */
  readonly batchSize: number;
}

/** What of a model pairs are read by. */
export interface PairReader {
  readonly codec: TextCodec;
  readonly pooling: Pooling;
  readonly maxPositions: number;
}

export interface PairRun extends TaughtData<PairExample> {
  readonly notes: readonly string[];
  /** Those of the notes that a report of the file lacks. */
  readonly furtherNotes: readonly string[];
  /** Every pair of `data` before any was held out, with what was cut and left out. */
  readonly encoded: EncodedPairs;
}

/**
 * Rows as a model's tokens, parted into what is learned and what measures it.
 *
 * @throws InputError where there are too few pairs.
 */
export async function encodePairRun(rows: RunRows<PairRow>, choice: PairChoice, reader: PairReader, pass: PassOptions): Promise<PairRun> {
  const options = { maxLength: longestExample(choice, reader.maxPositions), overflow: choice.overflow };
  const encoded = await encodePairs(reader, rows.data.rows, options, pass);
  const negatives = negativesNote(choice.data, rows.data.rows);
  const notes = [...filesNotes(choice.data, rows.data), ...negatives, ...countNotes(choice.data, encoded)];
  if (rows.valid === undefined) {
    const { train, heldOut } = splitHeldOut(encoded.examples, choice.seed, choice.validShare);
    const isMeasured = heldOut.length >= FEWEST && train.length >= FEWEST;
    notes.push(heldOutNote(isMeasured ? heldOut.length : 0, encoded, choice));
    const learned = inFullBatches(isMeasured ? train : encoded.examples, choice, notes);
    return { train: learned, validation: isMeasured ? heldOut : [], encoded, notes, furtherNotes: negatives };
  }
  const validation = await encodePairs(reader, rows.valid.rows, options, pass);
  const file = choice.valid ?? "";
  const furtherNotes = [...filesNotes(file, rows.valid), ...overlapNotes(encoded, validation, choice), ...countNotes(file, validation)];
  notes.push(...furtherNotes);
  checkCount(file, validation.examples, "to measure on: each positive is looked for among the others");
  return {
    train: inFullBatches(encoded.examples, choice, notes),
    validation: validation.examples,
    encoded,
    notes,
    furtherNotes: [...negatives, ...furtherNotes],
  };
}

function negativesNote(file: string, rows: Series<PairRow>): string[] {
  let count = 0;
  for (const { hasNegative } of rows) if (hasNegative) count++;
  return count === 0
    ? []
    : [`${file}: the negatives of ${count} rows are not learned from; those of a pair are the positives of its batch`];
}

function checkCount(file: string, { length }: Series<PairExample>, purpose: string): void {
  if (length >= FEWEST) return;
  const found = length === 0 ? "no pair is" : "1 pair is";
  throw new InputError(
    `${file}: ${found} left ${purpose}. Give ${FEWEST} pairs at least, or a larger --max-length where they were too long.`,
  );
}

/** The pair that would be alone at the end of each epoch is left out. */
function inFullBatches(train: Series<PairExample>, { data, batchSize }: PairChoice, notes: string[]): Series<PairExample> {
  checkCount(data, train, "to train on: each is told from the others of its batch");
  if (train.length % batchSize !== 1) return train;
  notes.push(`${data}: the last pair is left out, since it would be alone in a batch of ${batchSize} and teach nothing`);
  return select(
    train,
    Int32Array.from({ length: train.length - 1 }, (_, index) => index),
  );
}

/** Rows as pairs of texts, each read by itself. */
export function encodePairs(
  reader: Pick<PairReader, "codec" | "pooling">,
  rows: Series<PairRow>,
  options: Pick<DataChoice, "maxLength" | "overflow">,
  pass: PassOptions,
): Promise<EncodedPairs> {
  const examples = shelveExamples<PairExample, PairRow>(rows, (row) => ({ row, source: row.source }));
  return encodeShelved(rows, pairEncoder(reader, options, examples), pass);
}

function pairEncoder(
  { codec, pooling }: Pick<PairReader, "codec" | "pooling">,
  { maxLength, overflow }: Pick<DataChoice, "maxLength" | "overflow">,
  into: Collector<PairExample>,
): RowEncoder<PairRow, EncodedPairs> {
  const counts: ExampleCounts = { rows: 0, cut: 0, droppedTooLong: 0, droppedEmpty: 0 };
  return {
    add(row, index) {
      counts.rows++;
      const { cut, ...anchor } = encodedText(codec, row.anchor, pooling, maxLength);
      const positive = encodedText(codec, row.positive, pooling, maxLength);
      const isCut = cut || positive.cut;
      if (isCut && overflow === "drop") {
        counts.droppedTooLong++;
        return;
      }
      if (isCut) counts.cut++;
      const partner = { ids: positive.ids, place: positive.places[0] ?? 0 };
      const group = row.group === undefined ? {} : { group: row.group };
      into.push({ ...anchor, partner, source: row.source, prompt: keyOfPrompt(row.anchor), ...group, row }, index);
    },
    result: () => ({ examples: into.series, counts }),
  };
}
