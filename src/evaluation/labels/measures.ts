import type { LabelledTokens } from "../../data/lesson.js";
import type { Labelling } from "../../lora/adapter.js";
import { type ClassScores, type ConfusionMatrix, classScores, confusionMatrix } from "./confusion.js";
import { pearson, spearman } from "./correlation.js";

/** How well classes were told. */
export interface ClassMeasures {
  readonly kind: "classes";
  /** Right and predicted class of each label, in the order of the examples. */
  readonly expected: readonly number[];
  readonly predicted: readonly number[];
  readonly confusion: ConfusionMatrix;
  readonly scores: ClassScores;
  readonly metrics: Readonly<Record<string, number>>;
}

/** How well values were told. */
export interface ValueMeasures {
  readonly kind: "values";
  readonly expected: readonly number[];
  readonly predicted: readonly number[];
  /** NaN where one side is constant. */
  readonly pearson: number;
  readonly spearman: number;
  /** Root of the mean squared error. */
  readonly rootMeanSquare: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Compares what a head says with what is right. @param outputs of each example [places, K] */
export function measuresOf(
  { task, labels }: Labelling,
  examples: Iterable<Pick<LabelledTokens, "targets">>,
  outputs: readonly Float32Array[],
): ClassMeasures | ValueMeasures {
  const expected = Array.from(examples, ({ targets }) => Array.from(targets)).flat();
  if (task === "regression")
    return valueMeasures(
      expected,
      outputs.flatMap((values) => Array.from(values)),
    );
  const predicted = outputs.flatMap((scores) => rowsOf(scores, labels.length).map(largestAt));
  const confusion = confusionMatrix(expected, predicted, labels.length);
  const scores = classScores(confusion);
  const { accuracy, macroF1, matthews } = scores;
  return { kind: "classes", expected, predicted, confusion, scores, metrics: { accuracy, macroF1, matthews } };
}

function valueMeasures(expected: readonly number[], predicted: readonly number[]): ValueMeasures {
  const correlations = { pearson: pearson(expected, predicted), spearman: spearman(expected, predicted) };
  const squares = expected.reduce((sum, value, index) => sum + (value - (predicted[index] ?? 0)) ** 2, 0);
  const rootMeanSquare = Math.sqrt(squares / expected.length);
  return { kind: "values", expected, predicted, ...correlations, rootMeanSquare, metrics: { ...correlations, rootMeanSquare } };
}

/** Rows of a matrix [N, columns]. */
export function rowsOf(values: Float32Array, columns: number): Float32Array[] {
  return Array.from({ length: values.length / columns }, (_, row) => values.subarray(row * columns, (row + 1) * columns));
}

/** The place of the largest value, the first of several. */
export const largestAt = (values: Float32Array): number => values.indexOf(Math.max(...values));

/** Probabilities from scores: the softmax. */
export function softmaxOf(scores: Float32Array): number[] {
  const most = Math.max(...scores);
  const exponentials = Array.from(scores, (score) => Math.exp(score - most));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  return exponentials.map((value) => value / total);
}
