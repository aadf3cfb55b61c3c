import type { TextCodec } from "../text/tokenizer.js";
import { Companions } from "./companions.js";
import { Distinct, fingerprintOfText } from "./distinct.js";
import type { EncodedLabels, LabelledExample } from "./labelled-example.js";
import { classCounts } from "./labels.js";
import { countPlaces, countsReport, type DataForm, type DataReport, maskedText, type ReportParts, SAMPLES } from "./report.js";
import { firstOf, type Series } from "./series.js";
import { sizesOf } from "./sizes.js";

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
  const counts = labels === undefined ? [] : countClasses(labels.length, examples);
  return {
    ...countsReport({ encoded, split, options, lengths: sizesOf(examples).tokens }),
    forms: formsOf(examples),
    supervisedTokens: countPlaces(examples),
    ...(labels === undefined ? { values: spreadOf(examples) } : { labels: labels.map((label, at) => ({ label, count: counts[at] ?? 0 })) }),
    samples: firstOf(examples, SAMPLES).map((example) => ({
      file: example.source.file,
      line: example.source.line,
      tokens: example.ids.length,
      segments: maskedText(codec, { ids: example.ids, supervised: new Uint8Array(example.ids.length) }),
      tells: Array.from(example.targets, (target) => labels?.[target] ?? String(target)).join(" "),
    })),
    notes: [...classNotes(labels ?? [], counts), ...ambiguityNotes(examples), ...heldOutNotes(split)],
  };
}

/** How often each class occurs in examples. */
export function countClasses(labels: number, examples: Series<LabelledExample>): number[] {
  return classCounts(labels, classesIn(examples));
}

function* classesIn(examples: Series<LabelledExample>): Generator<Int32Array> {
  for (const { targets } of examples) if (targets instanceof Int32Array) yield targets;
}

function formsOf(examples: Series<LabelledExample>): DataReport["forms"] {
  const forms: Partial<Record<DataForm, number>> = {};
  for (const { row } of examples) {
    const form = row.kind === "words" ? "tokens-labels" : row.textPair === undefined ? "text-label" : "text-pair-label";
    forms[form] = (forms[form] ?? 0) + 1;
  }
  return forms;
}

function spreadOf(examples: Series<LabelledExample>): NonNullable<DataReport["values"]> {
  const of = { least: Number.POSITIVE_INFINITY, sum: 0, most: Number.NEGATIVE_INFINITY, count: 0 };
  for (const { targets } of examples) {
    for (const value of targets) {
      of.least = Math.min(of.least, value);
      of.most = Math.max(of.most, value);
      of.sum += value;
      of.count++;
    }
  }
  return { least: of.least, mean: of.sum / of.count, most: of.most };
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

function ambiguityNotes(examples: Series<LabelledExample>): string[] {
  const [texts, labels] = [new Distinct(), new Distinct()];
  const labelsOf = new Companions();
  for (const { prompt, targets } of examples)
    labelsOf.add(texts.number(fingerprintOfText(prompt)), labels.number(fingerprintOfText(targets.join(" "))));
  const unlike = labelsOf.several;
  if (unlike === 0) return [];
  const words = unlike === 1 ? "1 text stands" : `${unlike} texts stand`;
  return [`${words} in several rows with different labels: no model can get all of them right.`];
}

function heldOutNotes({ heldOut }: ReportParts["split"]): string[] {
  return heldOut.length > 0 ? [] : ["Nothing can be held out for validation. Give a file of its own with --valid."];
}
