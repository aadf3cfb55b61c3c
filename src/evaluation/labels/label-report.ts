import type { Labelling } from "../../lora/adapter.js";
import { type Change, type Cost, type Curves, shareChange } from "../trade-off.js";
import type { ClassScores, ConfusionMatrix } from "./confusion.js";
import type { ClassMeasures, ValueMeasures } from "./measures.js";

/** A held-out row, its right label, and what the head said. */
export interface LabelSample {
  readonly text: string;
  readonly expected: string;
  readonly predicted: string;
  /** Of the predicted label; absent for a value. */
  readonly probability?: number;
}

/** How well classes are told, beside what saying one label always would get right. */
export interface ClassResults {
  readonly kind: "classes";
  /** From always saying the most frequent label of the training data to the head, paired by label. */
  readonly accuracy: Change;
  /** The label that is always said. */
  readonly baseline: string;
  readonly scores: ClassScores;
  readonly confusion: ConfusionMatrix;
}

/** How well values are told. */
export interface ValueResults {
  readonly kind: "values";
  readonly n: number;
  /** Null where one side is constant. */
  readonly pearson: number | null;
  readonly spearman: number | null;
  readonly rootMeanSquare: number;
  /** What saying the mean of the held-out values always would have. */
  readonly baselineRootMeanSquare: number;
}

/** What an adapter and its head have learned: plain JSON, written at the end of a run. */
export interface LabelReport {
  readonly version: 1;
  readonly kind: "labels";
  readonly task: Labelling["task"];
  readonly labels: readonly string[];
  /** Mean loss of the held-out labels, nats (or squared error). */
  readonly loss: number;
  readonly results: ClassResults | ValueResults;
  readonly samples: readonly LabelSample[];
  /** What a reader should know of the examples that scored. */
  readonly caution?: string | undefined;
  /** The outcome in one sentence. */
  readonly sentence: string;
  readonly curves: Curves;
  readonly cost: Cost;
  readonly run: Readonly<Record<string, unknown>>;
}

export interface LabelReportInput extends Pick<LabelReport, "loss" | "samples" | "caution" | "curves" | "cost" | "run"> {
  readonly labelling: Labelling;
  readonly measures: ClassMeasures | ValueMeasures;
  /** Labels of the training data of each class. */
  readonly trained: readonly number[];
}

/** Says in numbers and words how well held-out rows are labelled. */
export function buildLabelReport({ labelling, measures, trained, ...rest }: LabelReportInput): LabelReport {
  const { task, labels } = labelling;
  return { version: 1, kind: "labels", task, labels, ...labelResults({ labelling, measures, trained }), ...rest };
}

/** The results alone, and their sentence. */
export function labelResults({
  labelling: { labels },
  measures,
  trained,
}: Pick<LabelReportInput, "labelling" | "measures" | "trained">): Pick<LabelReport, "results" | "sentence"> {
  const results = measures.kind === "classes" ? classResults(measures, labels, trained) : valueResults(measures);
  return { results, sentence: sentenceOf(results) };
}

function classResults(
  { expected, predicted, scores, confusion }: ClassMeasures,
  labels: readonly string[],
  trained: readonly number[],
): ClassResults {
  const most = trained.indexOf(Math.max(...trained));
  const accuracy = shareChange(
    expected.map((label) => label === most),
    expected.map((label, index) => label === predicted[index]),
  );
  return { kind: "classes", accuracy, baseline: labels[most] ?? "", scores, confusion };
}

function valueResults({ expected, pearson, spearman, rootMeanSquare }: ValueMeasures): ValueResults {
  const mean = expected.reduce((sum, value) => sum + value, 0) / expected.length;
  const squares = expected.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const finite = (value: number) => (Number.isFinite(value) ? value : null);
  return {
    kind: "values",
    n: expected.length,
    pearson: finite(pearson),
    spearman: finite(spearman),
    rootMeanSquare,
    baselineRootMeanSquare: Math.sqrt(squares / expected.length),
  };
}

const figure = (value: number | null): string => (value === null ? "none" : value.toFixed(3));

function sentenceOf(results: ClassResults | ValueResults): string {
  if (results.kind === "values") {
    const { n, pearson, spearman, rootMeanSquare, baselineRootMeanSquare } = results;
    return `On ${n} held-out values: Pearson ${figure(pearson)}, Spearman ${figure(spearman)}; off by ${rootMeanSquare.toPrecision(3)} (root mean square), ${baselineRootMeanSquare.toPrecision(3)} if it always said their mean.`;
  }
  const { accuracy, baseline, scores } = results;
  const right = (share: number) => Math.round(share * accuracy.n);
  const noise = accuracy.verdict === "none" ? ", a difference within noise" : accuracy.verdict === "unknown" ? ", too few to tell" : "";
  return `${right(accuracy.after)} of ${accuracy.n} held-out labels right, macro F1 ${figure(scores.macroF1)}, Matthews ${figure(scores.matthews)}; always saying ${JSON.stringify(baseline)} gets ${right(accuracy.before)} right${noise}.`;
}
