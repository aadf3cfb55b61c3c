import type { LabelledExample } from "../../../data/labelled-example.js";
import { classCounts } from "../../../data/labels.js";
import { longestOf, longestRow } from "../../../data/packing.js";
import type { Series } from "../../../data/series.js";
import { buildLabelReport, type LabelReport, type LabelSample } from "../../../evaluation/labels/label-report.js";
import { largestAt, measuresOf, rowsOf, softmaxOf } from "../../../evaluation/labels/measures.js";
import { writeLabelReport } from "../../../evaluation/node/report-file.js";
import type { Labelling } from "../../../lora/adapter.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import { LossProgram } from "../../../training/loss-program.js";
import type { Task } from "../../../training/sequence-graph.js";
import type { DoneEvent } from "../../api.js";
import { predictLabels } from "../predict-labels.js";
import { readMetrics } from "../run-folder.js";
import { breathe } from "../worker/context.js";
import { BY_RESUMING, measureSaved } from "./measure-saved.js";
import type { MeasureContext, TaughtExample, TrainedRun } from "./run-task.js";
import { curvesOf } from "./trade-off.js";

/** Examples measured together. */
const BATCH = 16;
/** Rows that a report shows: so many wrong ones, and as many right ones. */
const SAMPLES = 5;

/** A run of a task with labels that has ended. */
export interface TrainedLabels extends TrainedRun<LabelledExample> {
  readonly labelling: Labelling;
  readonly learned: Task;
}

/**
 * Measures the best adapter and head on held-out rows, writes the report and tells it. A head that was not trained says nothing, so
 * there is no "before": what is compared with is to say the most frequent label always.
 */
export async function measureLabels(run: TrainedLabels, context: MeasureContext): Promise<Pick<DoneEvent, "target"> | undefined> {
  const { emit } = context;
  if (run.examples.length === 0) {
    emit({
      type: "warning",
      message: "Nothing was held out, so what was learned cannot be measured. Give examples of their own with --valid.",
    });
    return undefined;
  }
  const measure = async () => {
    const report = await measured(run, context);
    const { html } = await writeLabelReport(run.folder.path, report);
    emit({ type: "report", report, path: html });
    const { results } = report;
    return results.kind === "classes" ? { target: { before: results.accuracy.before, after: results.accuracy.after } } : {};
  };
  return measureSaved(measure, context, BY_RESUMING);
}

async function measured(run: TrainedLabels, { emit, signal }: MeasureContext): Promise<LabelReport> {
  const { prepared, examples, labelling, learned, state, frozen, folder, cost, caution } = run;
  const { opened, layout, settings, task } = prepared;
  const maxTokens = longestRow(longestOf(examples));
  const program = await LossProgram.compile(nodeEngine, { ...learned, layout, frozen, maxTokens }, opened.compile);
  try {
    const { loss, outputs } = await predictLabels(program, examples, state.best ?? state.trainables, BATCH, async (done) => {
      emit({ type: "progress", task: "measuring held-out rows", done, total: examples.length, unit: "items" });
      await breathe();
      signal.throwIfAborted();
    });
    const measures = measuresOf(labelling, examples, outputs);
    return buildLabelReport({
      labelling,
      measures,
      trained: classCounts(labelling.labels.length, classesIn(task.data.train)),
      loss,
      samples: samplesOf(labelling, examples, outputs),
      caution,
      curves: curvesOf(await readMetrics(folder)),
      cost,
      run: { ...settings },
    });
  } finally {
    await program.release();
  }
}

function* classesIn(examples: Series<TaughtExample>): Generator<Int32Array> {
  for (const example of examples) if ("places" in example && example.targets instanceof Int32Array) yield example.targets;
}

/** Rows that the head gets wrong, then rows that it gets right; of a regression the first ones. */
function samplesOf(labelling: Labelling, examples: readonly LabelledExample[], outputs: readonly Float32Array[]): LabelSample[] {
  const all = examples.flatMap((example, index) => samplesOfExample(labelling, example, outputs[index] ?? new Float32Array()));
  const isRight = ({ expected, predicted }: LabelSample) => expected === predicted;
  if (labelling.task === "regression") return all.slice(0, 2 * SAMPLES);
  return [...all.filter((sample) => !isRight(sample)).slice(0, SAMPLES), ...all.filter(isRight).slice(0, SAMPLES)];
}

function samplesOfExample({ task, labels }: Labelling, { row, words, targets }: LabelledExample, outputs: Float32Array): LabelSample[] {
  return rowsOf(outputs, labels.length).map((scores, place) => {
    const text =
      row.kind === "words"
        ? (row.words[words[place] ?? 0] ?? "")
        : [row.text, ...(row.textPair === undefined ? [] : [row.textPair])].join(" ⏎ ");
    const target = targets[place] ?? 0;
    if (task === "regression") return { text, expected: String(target), predicted: (scores[0] ?? 0).toPrecision(4) };
    const best = largestAt(scores);
    return { text, expected: labels[target] ?? "", predicted: labels[best] ?? "", probability: softmaxOf(scores)[best] ?? 0 };
  });
}
