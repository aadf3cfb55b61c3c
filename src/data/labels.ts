import { InputError } from "../errors.js";
import type { LabelledRow } from "./labelled-row.js";

/** Beyond this many classes a label is a number or a text of its own; a head of that size is a mistake. */
const MAX_CLASSES = 10_000;
/** Bad rows are named, up to this many. */
const NAMED_PROBLEMS = 10;

const labelsOf = (row: LabelledRow): readonly string[] =>
  row.kind === "words" ? (row.labels ?? []) : row.label === undefined ? [] : [row.label];

/** The labels of rows in the order in which classes are numbered: numbers by size, names as Python sorts them. */
export function collectLabels(rows: readonly LabelledRow[]): string[] {
  const labels = [...new Set(rows.flatMap(labelsOf))];
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

/**
 * The numbers of the rows' classes. A label is a name of the list, or where all labels of the file are whole numbers, a class by its number.
 *
 * @throws InputError `FILE:LINE: expected …, found …` for each label that is none (the first ten).
 */
export function classesOf(rows: readonly LabelledRow[], labels: readonly string[]): Int32Array[] {
  const byName = new Map(labels.map((label, index) => [label, index]));
  const known = (label: string) => byName.has(label);
  const isNumber = (label: string) => /^\d+$/.test(label) && Number(label) < labels.length;
  const all = rows.flatMap(labelsOf);
  const byNumber = !all.every(known) && all.every(isNumber);
  const problems: string[] = [];
  const classes = rows.map((row) =>
    Int32Array.from(labelsOf(row), (label) => {
      const found = byNumber ? Number(label) : byName.get(label);
      if (found === undefined) problems.push(`${place(row)}: expected one of the labels ${listed(labels)}, found ${JSON.stringify(label)}`);
      return found ?? 0;
    }),
  );
  refuse(problems);
  return classes;
}

/**
 * Refuses values that all are the same: a head would learn that number and nothing of the texts, and no correlation is defined.
 *
 * @throws InputError
 */
export function checkSpread(rows: readonly LabelledRow[]): void {
  const [first, ...others] = new Set(rows.flatMap(labelsOf).map(Number));
  if (first === undefined || others.length > 0) return;
  throw new InputError(
    `${fileOf(rows)} has the label ${first} in each of its ${rows.length} rows: there is nothing to learn. Check that "label" is the column that you mean.`,
  );
}

/**
 * The values of rows for a regression.
 *
 * @throws InputError `FILE:LINE: expected …, found …` for each label that is no number (the first ten).
 */
export function valuesOf(rows: readonly LabelledRow[]): Float32Array[] {
  const problems: string[] = [];
  const values = rows.map((row) =>
    Float32Array.from(labelsOf(row), (label) => {
      const value = Number(label);
      if (!Number.isFinite(value)) problems.push(`${place(row)}: expected "label" to be a number, found ${JSON.stringify(label)}`);
      return value;
    }),
  );
  refuse(problems);
  return values;
}

/** What an example of each class counts for: equal for all, in inverse proportion to how often the class occurs, or as given by name. */
export type ClassWeighting =
  | { readonly kind: "none" }
  | { readonly kind: "balanced" }
  | { readonly kind: "given"; readonly weights: Readonly<Record<string, number>> };

/**
 * Weights of the classes. `balanced` is scikit-learn's: examples / (classes · examples of the class), so that all classes count alike and
 * the weights of all examples add up to their number. A class that is not named has the weight 1.
 *
 * @throws InputError for a name that is no class.
 */
export function classWeights(weighting: ClassWeighting, labels: readonly string[], classes: readonly Int32Array[]): Float32Array {
  switch (weighting.kind) {
    case "none":
      return new Float32Array(labels.length).fill(1);
    case "balanced": {
      const counts = classCounts(labels.length, classes);
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
export function classCounts(count: number, classes: readonly Int32Array[]): number[] {
  const counts = new Array<number>(count).fill(0);
  for (const each of classes) for (const one of each) counts[one] = (counts[one] ?? 0) + 1;
  return counts;
}

function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return;
  const more = problems.length > NAMED_PROBLEMS ? [`… and ${problems.length - NAMED_PROBLEMS} more labels.`] : [];
  throw new InputError([...problems.slice(0, NAMED_PROBLEMS), ...more].join("\n"));
}

const place = ({ source: { file, line } }: LabelledRow): string => `${file}:${line}`;

const fileOf = (rows: readonly LabelledRow[]): string => rows[0]?.source.file ?? "The data";

function listed(labels: readonly string[]): string {
  const names = labels.slice(0, 12).map((label) => JSON.stringify(label));
  return labels.length > 12 ? `${names.join(", ")}, …` : names.join(", ");
}
