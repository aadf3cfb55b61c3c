import { InputError } from "../errors.js";
import type { LabelledRow } from "./labelled-row.js";
import type { Series } from "./series.js";

/** Beyond this many classes a label is a number or a text of its own; a head of that size is a mistake. */
const MAX_CLASSES = 10_000;
/** Bad rows are named, up to this many. */
const NAMED_PROBLEMS = 10;

const labelsOf = (row: LabelledRow): readonly string[] =>
  row.kind === "words" ? (row.labels ?? []) : row.label === undefined ? [] : [row.label];

/** The labels of rows in the order in which classes are numbered: numbers by size, names as Python sorts them. */
export function collectLabels(rows: Series<LabelledRow>): string[] {
  const labels = [...labelsIn(rows)];
  if (labels.length > MAX_CLASSES) {
    throw new InputError(
      `${fileOf(rows)} has ${labels.length} different labels; a classification has at most ${MAX_CLASSES}. For numbers, take --task regression.`,
    );
  }
  if (labels.length < 2) {
    throw new InputError(`${fileOf(rows)} has one label alone (${JSON.stringify(labels[0] ?? "")}): there is nothing to tell apart.`);
  }
  return labels.sort(labels.every((label) => /^-?\d+$/.test(label)) ? (a, b) => Number(a) - Number(b) : byCodePoints);
}

/** Python's order of strings. JavaScript's is that of UTF-16, in which what lies beyond U+FFFF comes before U+E000. */
function byCodePoints(a: string, b: string): number {
  const [ours, others] = [Array.from(a), Array.from(b)];
  const at = ours.findIndex((character, index) => character !== others[index]);
  if (at < 0) return ours.length - others.length;
  return (ours[at]?.codePointAt(0) ?? -1) - (others[at]?.codePointAt(0) ?? -1);
}

/** All labels that occur, each once. Of values there may be as many as rows. */
function labelsIn(rows: Series<LabelledRow>): Set<string> {
  const labels = new Set<string>();
  for (const row of rows) for (const label of labelsOf(row)) labels.add(label);
  return labels;
}

/**
 * How the labels of rows become the numbers of their classes. A label is a name of the list, or where all labels of the file are whole
 * numbers, a class by its number.
 *
 * @throws InputError `FILE:LINE: expected …, found …` for each label that is none (the first ten).
 */
export function classesOf(rows: Series<LabelledRow>, labels: readonly string[]): (row: LabelledRow) => Int32Array {
  const byName = new Map(labels.map((label, index) => [label, index]));
  const isNumber = (label: string) => /^\d+$/.test(label) && Number(label) < labels.length;
  const all = [...labelsIn(rows)];
  const byNumber = !all.every((label) => byName.has(label)) && all.every(isNumber);
  const classOf = (label: string) => (byNumber ? Number(label) : byName.get(label));
  const found = (label: string) => classOf(label) !== undefined;
  refuse(rows, found, (label) => `expected one of the labels ${listed(labels)}, found ${JSON.stringify(label)}`);
  return (row) => Int32Array.from(labelsOf(row), (label) => classOf(label) ?? 0);
}

/**
 * Refuses values that all are the same: a head would learn that number and nothing of the texts, and no correlation is defined.
 *
 * @throws InputError
 */
export function checkSpread(rows: Series<LabelledRow>): void {
  let first: number | undefined;
  for (const row of rows) {
    for (const label of labelsOf(row)) {
      first ??= Number(label);
      if (!Object.is(first, Number(label)) && first !== Number(label)) return;
    }
  }
  if (first === undefined) return;
  throw new InputError(
    `${fileOf(rows)} has the label ${first} in each of its ${rows.length} rows: there is nothing to learn. Check that "label" is the column that you mean.`,
  );
}

/**
 * How the labels of rows become the values of a regression.
 *
 * @throws InputError `FILE:LINE: expected …, found …` for each label that is no number (the first ten).
 */
export function valuesOf(rows: Series<LabelledRow>): (row: LabelledRow) => Float32Array {
  const isValue = (label: string) => Number.isFinite(Number(label));
  refuse(rows, isValue, (label) => `expected "label" to be a number, found ${JSON.stringify(label)}`);
  return (row) => Float32Array.from(labelsOf(row), Number);
}

/** What an example of each class counts for: equal for all, in inverse proportion to how often the class occurs, or as given by name. */
export type ClassWeighting =
  | { readonly kind: "none" }
  | { readonly kind: "balanced" }
  | { readonly kind: "given"; readonly weights: Readonly<Record<string, number>> };

/**
 * Weights of the classes, of which each occurs `counts` times. `balanced` is scikit-learn's: examples / (classes · examples of the class), so that all classes count alike and
 * the weights of all examples add up to their number. A class that is not named has the weight 1.
 *
 * @throws InputError for a name that is no class.
 */
export function classWeights(weighting: ClassWeighting, labels: readonly string[], counts: readonly number[]): Float32Array {
  switch (weighting.kind) {
    case "none":
      return new Float32Array(labels.length).fill(1);
    case "balanced": {
      const total = counts.reduce((sum, count) => sum + count, 0);
      return Float32Array.from(counts, (count) => (count === 0 ? 0 : total / (labels.length * count)));
    }
    case "given": {
      const unknown = Object.keys(weighting.weights).filter((name) => !labels.includes(name));
      if (unknown.length > 0) {
        const names = unknown.map((name) => JSON.stringify(name)).join(", ");
        throw new InputError(`--class-weights names ${names}, which is no label of the data; the labels are ${listed(labels)}.`);
      }
      return Float32Array.from(labels, (label) => (Object.hasOwn(weighting.weights, label) ? (weighting.weights[label] ?? 1) : 1));
    }
  }
}

/** How often each class occurs. */
export function classCounts(count: number, classes: Iterable<Int32Array>): number[] {
  const counts = new Array<number>(count).fill(0);
  for (const each of classes) for (const one of each) counts[one] = (counts[one] ?? 0) + 1;
  return counts;
}

/** Names the labels that are none. */
function refuse(rows: Series<LabelledRow>, isLabel: (label: string) => boolean, problem: (label: string) => string): void {
  const problems: string[] = [];
  let count = 0;
  for (const row of rows) {
    for (const label of labelsOf(row)) {
      if (!isLabel(label) && ++count <= NAMED_PROBLEMS) problems.push(`${row.source.file}:${row.source.line}: ${problem(label)}`);
    }
  }
  if (count === 0) return;
  throw new InputError([...problems, ...(count > NAMED_PROBLEMS ? [`… and ${count - NAMED_PROBLEMS} more labels.`] : [])].join("\n"));
}

const fileOf = (rows: Series<LabelledRow>): string => rows.at(0)?.source.file ?? "The data";

function listed(labels: readonly string[]): string {
  const names = labels.slice(0, 12).map((label) => JSON.stringify(label));
  return labels.length > 12 ? `${names.join(", ")}, …` : names.join(", ");
}
