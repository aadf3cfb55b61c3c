import type { TextCodec } from "../text/tokenizer.js";
import type { EncodedLabels, LabelledExample } from "./labelled-example.js";
import type { LabelledRow } from "./labelled-row.js";
import { classCounts } from "./labels.js";
import { countsReport, type DataForm, type DataReport, maskedText, type ReportParts, SAMPLES } from "./report.js";

/** What `lorikeet data` says of rows with labels. */
export function buildLabelledReport(
  codec: TextCodec,
  encoded: EncodedLabels,
  split: ReportParts["split"],
  options: ReportParts["options"],
  /** Names of the classes by number; undefined for a regression. */
  labels: readonly string[] | undefined,
): DataReport {
  const { examples } = encoded;
  const counts = labels === undefined ? [] : classCounts(labels.length, classesIn(examples));
  return {
    ...countsReport({ encoded, split, options, lengths: examples.map(({ ids }) => ids.length) }),
    forms: formsOf(examples.map(({ row }) => row)),
    supervisedTokens: examples.reduce((sum, { places }) => sum + places.length, 0),
    ...(labels === undefined ? { values: spreadOf(examples) } : { labels: labels.map((label, at) => ({ label, count: counts[at] ?? 0 })) }),
    samples: examples.slice(0, SAMPLES).map((example) => ({
      file: example.source.file,
      line: example.source.line,
      tokens: example.ids.length,
      segments: maskedText(codec, { ids: example.ids, supervised: new Uint8Array(example.ids.length) }),
      tells: Array.from(example.targets, (target) => labels?.[target] ?? String(target)).join(" "),
    })),
    notes: [...classNotes(labels ?? [], counts), ...ambiguityNotes(examples), ...heldOutNotes(split)],
  };
}

const classesIn = (examples: readonly LabelledExample[]): Int32Array[] =>
  examples.flatMap(({ targets }) => (targets instanceof Int32Array ? [targets] : []));

function formsOf(rows: readonly LabelledRow[]): DataReport["forms"] {
  const forms: Partial<Record<DataForm, number>> = {};
  for (const row of rows) {
    const form = row.kind === "words" ? "tokens-labels" : row.textPair === undefined ? "text-label" : "text-pair-label";
    forms[form] = (forms[form] ?? 0) + 1;
  }
  return forms;
}

function spreadOf(examples: readonly LabelledExample[]): NonNullable<DataReport["values"]> {
  const values = examples.flatMap(({ targets }) => [...targets]);
  const reduce = (of: (a: number, b: number) => number) => values.reduce((found, value) => of(found, value), values[0] ?? 0);
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return { least: reduce(Math.min), mean, most: reduce(Math.max) };
}

/** A class with more than this share of the labels hides the others. */
const LARGE_SHARE = 0.8;
/** Fewer examples are hardly learned. */
const FEW = 10;

function classNotes(labels: readonly string[], counts: readonly number[]): string[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = counts.reduce((best, count, at) => (count > (counts[best] ?? 0) ? at : best), 0);
  const share = (counts[most] ?? 0) / Math.max(1, total);
  const few = labels.filter((_, at) => (counts[at] ?? 0) < FEW);
  const notes: string[] = [];
  if (share > LARGE_SHARE)
    notes.push(
      `To say ${JSON.stringify(labels[most])} always is right for ${(100 * share).toFixed(1)} %: look at macro F1 beside the accuracy, and try --class-weights balanced.`,
    );
  if (few.length > 0)
    notes.push(
      `Fewer than ${FEW} examples have ${few.length === 1 ? "the label" : "each of the labels"} ${listed(few)}: hardly enough to learn.`,
    );
  return notes;
}

/** Labels that a note lists. */
const LISTED = 8;

function listed(labels: readonly string[]): string {
  const names = labels.slice(0, LISTED).map((label) => JSON.stringify(label));
  return labels.length > LISTED ? `${names.join(", ")} and ${labels.length - LISTED} more` : names.join(", ");
}

function ambiguityNotes(examples: readonly LabelledExample[]): string[] {
  const told = new Map<string, Set<string>>();
  for (const { prompt, targets } of examples) told.set(prompt, (told.get(prompt) ?? new Set()).add(targets.join(" ")));
  const unlike = [...told.values()].filter(({ size }) => size > 1).length;
  if (unlike === 0) return [];
  const texts = unlike === 1 ? "1 text stands" : `${unlike} texts stand`;
  return [`${texts} in several rows with different labels: no model can get all of them right.`];
}

function heldOutNotes({ heldOut }: ReportParts["split"]): string[] {
  return heldOut.length > 0 ? [] : ["Nothing can be held out for validation. Give a file of its own with --valid."];
}
