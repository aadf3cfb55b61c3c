import type { Example } from "../../../data/example.js";
import { longestRow } from "../../../data/packing.js";
import { type GeneralMeasure, measureGeneral, type Probe, probeSequences } from "../../../evaluation/general.js";
import { modelSubject } from "../../../evaluation/model-subject.js";
import { writeReport } from "../../../evaluation/node/report-file.js";
import type { JudgedSample } from "../../../evaluation/report/samples.js";
import { buildTradeOffReport, type Curves, type TradeOffReport } from "../../../evaluation/trade-off.js";
import type { AppliedAdapter } from "../../../generation/generation-program.js";
import { adapterFromVectors } from "../../../lora/adapter.js";
import type { DoneEvent } from "../../api.js";
import { appliedTo } from "../applied-adapter.js";
import type { OpenedModel } from "../open-model.js";
import { PROBE_TOKENS, readProbe } from "../probe.js";
import { readMetrics } from "../run-folder.js";
import { breathe } from "../worker/context.js";
import { measureSaved } from "./measure-saved.js";
import { compileMeasures } from "./programs.js";
import type { MeasureContext, TrainedRun } from "./run-task.js";
import { askTarget, LONGEST_ANSWER, SAMPLES, type TargetResult, type TargetTask, targetMeasure, targetTask } from "./target.js";

/** Sequences measured together. */
const BATCH = 16;

/** A run of a language model that has ended. */
export interface TrainedLanguageRun extends TrainedRun<Example> {
  readonly opened: OpenedModel;
}

interface Measured {
  readonly target: TargetResult;
  readonly general: GeneralMeasure;
}

/**
 * Measures the model with the adapter off and on, writes the report and tells it. "Before" is measured here, after the
 * training, so that the first step need not wait for it.
 *
 * @returns the scores for the last event; none where nothing could be measured, or the run was aborted meanwhile.
 */
export async function measureTradeOff(
  run: TrainedLanguageRun,
  context: MeasureContext,
): Promise<Pick<DoneEvent, "target" | "general"> | undefined> {
  const { emit } = context;
  const measureAll = async () => {
    const measured = await measure(run, context);
    if (measured === undefined) {
      emit({
        type: "warning",
        message: `Nothing was held out, so what the ${run.prepared.product.kind} gained cannot be measured. Give examples of their own with --valid.`,
      });
      return undefined;
    }
    const { report, page } = measured;
    emit({ type: "report", report, path: page });
    return scores(report);
  };
  return measureSaved(measureAll, context, againWords(run));
}

/** How a person measures later what was not measured now. */
function againWords({ prepared: { settings, product }, folder, target }: TrainedRun): string {
  const file = target.kind === "cron" ? target.file : settings.valid;
  const command = `\`lorikeet eval ${product.kind === "model" ? `--model ${folder.model}` : `--model ${settings.model} --adapter ${folder.adapter}`} --data ${file ?? "FILE"}\``;
  const other = file === undefined ? " on a file of examples that were not trained on" : "";
  const resume = target.kind === "cron" ? "" : "Resuming the run (--resume) measures again and writes the report; ";
  return `${resume}${command} measures it${other}.`;
}

/** @returns nothing where there is no example to measure on. */
async function measure(
  { prepared, opened, folder, target, examples, caution, state, frozen, cost }: TrainedLanguageRun,
  context: MeasureContext,
): Promise<{ report: TradeOffReport; page: string } | undefined> {
  const { config, layout, settings, product } = prepared;
  const { kind } = product;
  const task = await targetTask(target, opened.codec, examples, longestPrompt(settings.maxLength, opened));
  if (task.questions.length === 0 && task.sequences.length === 0) return undefined;
  const probe = await readProbe();
  const adapter = adapterFromVectors(config, layout, { trainables: state.best ?? state.trainables, frozen });
  const after = await measureModel(opened, await appliedTo(opened, adapter), AFTER[kind], { task, probe }, context);
  const before = await measureModel(opened, undefined, BEFORE[kind], { task, probe }, context);
  const samples = samplesOf(task, before.target, after.target);
  const report = buildTradeOffReport({
    ...(kind === "model" ? { trained: kind } : {}),
    target: targetMeasure(task, before.target, after.target),
    caution,
    general: { before: before.general, after: after.general },
    samples,
    curves: curvesOf(await readMetrics(folder)),
    cost,
    run: { ...settings },
  });
  const { html } = await writeReport(folder.path, { ...report, samples });
  return { report, page: html };
}

/** What a person is told meanwhile. */
const BEFORE = { adapter: "measuring without the adapter", model: "measuring the model as it was" } as const;
const AFTER = { adapter: "measuring with the adapter", model: "measuring the trained model" } as const;

/** Room for the longest sample's answer stays within the model's positions. */
function longestPrompt(maxLength: number, { model }: OpenedModel): number {
  return Math.min(maxLength, model.dimensions.maxPositions - LONGEST_ANSWER);
}

async function measureModel(
  opened: OpenedModel,
  adapter: AppliedAdapter | undefined,
  words: string,
  { task, probe }: { readonly task: TargetTask; readonly probe: Probe },
  { emit, signal }: MeasureContext,
): Promise<Measured> {
  const longest = Math.max(
    PROBE_TOKENS,
    ...task.sequences.map(({ ids }) => ids.length),
    ...task.questions.map(({ ids }) => ids.length + task.maxNewTokens),
  );
  const vector = adapter?.vector ?? new Float32Array();
  const { loss, generation, release } = await compileMeasures(opened, adapter?.layout, vector, longestRow(longest));
  const total = task.questions.length + task.sequences.length + probeSequences(probe);
  let done = 0;
  const onProgress = (sequences: number) => {
    done += sequences;
    emit({ type: "progress", task: words, done, total, unit: "items" });
  };
  try {
    const subject = modelSubject({ loss, generation, trainables: vector, codec: opened.codec, batchSize: BATCH, breathe, onProgress });
    const target = await askTarget(subject, task, signal);
    const general = await measureGeneral(subject, probe, opened.codec, signal);
    return { target, general };
  } finally {
    await release();
  }
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

export function curvesOf(events: readonly Record<string, unknown>[]): Curves {
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
