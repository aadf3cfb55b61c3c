import { bucketOf } from "../../../data/batch.js";
import { type GeneralMeasure, measureGeneral, type Probe, probeSequences } from "../../../evaluation/general.js";
import { modelSubject } from "../../../evaluation/model-subject.js";
import { writeReport } from "../../../evaluation/node/report-file.js";
import type { JudgedSample } from "../../../evaluation/report/samples.js";
import { buildTradeOffReport, type Curves, type TradeOffReport } from "../../../evaluation/trade-off.js";
import type { AdapterLayout } from "../../../lora/layout.js";
import type { TrainerState } from "../../../training/trainer.js";
import type { DoneEvent, TrainEvent } from "../../api.js";
import type { OpenedModel } from "../open-model.js";
import { PROBE_TOKENS, readProbe } from "../probe.js";
import { type RunFolder, readMetrics } from "../run-folder.js";
import { breathe } from "../worker/context.js";
import type { PreparedRun } from "./prepare.js";
import { compileMeasures } from "./programs.js";
import {
  askTarget,
  LONGEST_ANSWER,
  SAMPLES,
  type TargetResult,
  type TargetSpec,
  type TargetTask,
  targetMeasure,
  targetTask,
} from "./target.js";

/** Sequences measured together. */
const BATCH = 16;

interface MeasureContext {
  readonly signal: AbortSignal;
  readonly emit: (event: TrainEvent) => void;
}

interface Measured {
  readonly target: TargetResult;
  readonly general: GeneralMeasure;
}

/**
 * Measures the model with the adapter off and on, writes the report and tells it. "Before" is measured here, after the
 * training, so that the first step need not wait for it.
 *
 * @returns the scores for the last event; none where nothing was held out to measure on, or the run was aborted meanwhile.
 */
export async function measureTradeOff(
  { opened, data, layout, settings }: PreparedRun,
  folder: RunFolder,
  done: DoneEvent,
  spec: TargetSpec,
  state: TrainerState,
  context: MeasureContext,
): Promise<Pick<DoneEvent, "target" | "general"> | undefined> {
  const { emit, signal } = context;
  const task = await targetTask(spec, opened.codec, data.validation, longestPrompt(settings.maxLength, opened));
  if (task.questions.length === 0 && task.sequences.length === 0) {
    emit({
      type: "warning",
      message: "Nothing was held out, so what the adapter gained cannot be measured. Give examples of their own with --valid.",
    });
    return undefined;
  }
  const probe = await readProbe();
  try {
    const measure = (adapter: AdapterLayout | undefined, vector: Float32Array) =>
      measureModel(opened, adapter, vector, task, probe, context);
    const after = await measure(layout, state.best ?? state.trainables);
    const before = await measure(undefined, new Float32Array());
    const samples = samplesOf(task, before.target, after.target);
    const report = buildTradeOffReport({
      target: targetMeasure(task, before.target, after.target),
      general: { before: before.general, after: after.general },
      samples,
      curves: curvesOf(await readMetrics(folder)),
      cost: { seconds: done.seconds, tokensPerSecond: done.tokensPerSecond, peakBytes: done.peakBytes },
      run: { ...settings },
    });
    const { html } = await writeReport(folder.path, { ...report, samples });
    emit({ type: "report", report, path: html });
    return scores(report);
  } catch (error) {
    if (!signal.aborted) throw error;
    emit({ type: "warning", message: "The measuring was interrupted; the adapter is saved. `lorikeet eval` measures it later." });
    return undefined;
  }
}

/** Room for the longest sample's answer stays within the model's positions. */
function longestPrompt(maxLength: number, { model }: OpenedModel): number {
  return Math.min(maxLength, model.dimensions.maxPositions - LONGEST_ANSWER);
}

async function measureModel(
  opened: OpenedModel,
  layout: AdapterLayout | undefined,
  vector: Float32Array,
  task: TargetTask,
  probe: Probe,
  { emit, signal }: MeasureContext,
): Promise<Measured> {
  const longest = Math.max(
    PROBE_TOKENS,
    ...task.sequences.map(({ ids }) => ids.length),
    ...task.questions.map(({ ids }) => ids.length + task.maxNewTokens),
  );
  const { loss, generation, release } = await compileMeasures(opened, layout, vector, bucketOf(longest));
  const total = task.questions.length + task.sequences.length + probeSequences(probe);
  let done = 0;
  const onProgress = (sequences: number) => {
    done += sequences;
    emit({
      type: "progress",
      task: layout === undefined ? "measuring without the adapter" : "measuring with the adapter",
      done,
      total,
      unit: "items",
    });
  };
  const subject = modelSubject({ loss, generation, trainables: vector, codec: opened.codec, batchSize: BATCH, breathe, onProgress });
  const target = await askTarget(subject, task, signal);
  const general = await measureGeneral(subject, probe, opened.codec, signal);
  await release();
  return { target, general };
}

/** The first questions with the answers to them, judged where answers can be. */
function samplesOf({ questions, isRight }: TargetTask, before: TargetResult, after: TargetResult): JudgedSample[] {
  return questions.slice(0, SAMPLES).map(({ text, expected }, index) => {
    const answers = { before: before.answers[index] ?? "", after: after.answers[index] ?? "" };
    const right =
      isRight === undefined ? {} : { right: { before: isRight(expected, answers.before), after: isRight(expected, answers.after) } };
    return { prompt: text, expected, ...answers, ...right };
  });
}

function curvesOf(events: readonly Record<string, unknown>[]): Curves {
  const points = (type: string) =>
    events.flatMap(({ type: kind, step, loss }) =>
      kind === type && typeof step === "number" && typeof loss === "number" ? [{ step, loss }] : [],
    );
  return { train: points("step"), validation: points("evaluation") };
}

/** Scores between 0 and 1. A task without right and wrong has the probability of an expected token, 1 / perplexity. */
function scores({ target, general }: TradeOffReport): Pick<DoneEvent, "target" | "general"> {
  const score = (value: number) => (target.unit === "share" ? value : 1 / value);
  return {
    target: { before: score(target.before), after: score(target.after) },
    general: { before: general.accuracy.before, after: general.accuracy.after },
  };
}
