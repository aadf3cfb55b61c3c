import { countClasses } from "../../data/labelled-report.js";
import { InputError } from "../../errors.js";
import { labelResults } from "../../evaluation/labels/label-report.js";
import { largestAt, rowsOf } from "../../evaluation/labels/measures.js";
import type { Labelling } from "../../lora/adapter.js";
import type { Comparison } from "../api.js";
import type { EvaluateSettings } from "../options.js";
import { type LabelledRows, labelRows } from "./classify-run.js";
import type { Measured } from "./measured.js";
import { SAMPLES } from "./training/target.js";
import type { WorkerContext } from "./worker/context.js";

/**
 * How well an adapter and its head label a file. A head that was not trained says nothing: what they are compared with is to say the
 * file's most frequent label always, or its mean.
 */
export async function evaluateLabels(settings: EvaluateSettings & { readonly adapter: string }, context: WorkerContext): Promise<Measured> {
  const { labelling, examples, outputs, measures, notes } = await labelRows({ ...settings, text: undefined }, undefined, context);
  if (measures === undefined)
    throw new InputError(
      `${settings.data}: some rows have no label to compare with. Give every row one, or let \`lorikeet classify --data\` label them.`,
    );
  const { results, sentence } = labelResults({ labelling, measures, trained: countClasses(labelling.labels.length, examples) });
  const comparison: Comparison =
    results.kind === "classes"
      ? {
          metric: "accuracy",
          side: "target",
          unit: "share",
          n: results.accuracy.n,
          base: results.accuracy.before,
          adapted: results.accuracy.after,
          change: results.accuracy,
        }
      : {
          metric: "root mean square error",
          side: "target",
          unit: "score",
          n: results.n,
          base: results.baselineRootMeanSquare,
          adapted: results.rootMeanSquare,
        };
  const before = results.kind === "classes" ? `the label ${JSON.stringify(results.baseline)}` : "the mean of the labels";
  return {
    comparisons: [comparison],
    samples: samplesOf(labelling, { examples, outputs }, results.kind === "classes" ? results.baseline : "their mean"),
    notes: [...notes, `"Before" is to say ${before} always.`],
    sentence,
    metrics: measures.metrics,
    ...(measures.kind === "classes" ? { labels: labelling.labels, confusion: measures.confusion } : {}),
  };
}

/** Rows that are labelled wrong, then the others. */
function samplesOf(
  { task, labels }: Labelling,
  { examples, outputs }: Pick<LabelledRows, "examples" | "outputs">,
  before: string,
): Measured["samples"] {
  const samples = Array.from(examples, ({ row, targets }, index) => {
    const said = rowsOf(outputs[index] ?? new Float32Array(), labels.length);
    const isValue = task === "regression";
    return {
      prompt: row.kind === "words" ? row.words.join(" ") : [row.text, ...(row.textPair === undefined ? [] : [row.textPair])].join(" ⏎ "),
      expected: Array.from(targets, (target) => (isValue ? String(target) : (labels[target] ?? ""))).join(" "),
      before,
      after: said.map((scores) => (isValue ? (scores[0] ?? 0).toPrecision(4) : (labels[largestAt(scores)] ?? ""))).join(" "),
    };
  });
  const isWrong = ({ expected, after }: (typeof samples)[number]) => expected !== after;
  return [...samples.filter(isWrong), ...samples.filter((sample) => !isWrong(sample))].slice(0, SAMPLES);
}
