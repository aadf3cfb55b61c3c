import { performance } from "node:perf_hooks";
import { type Example, rowEncoder } from "../../data/example.js";
import { Shelf, shelveExamples } from "../../data/node/shelf.js";
import { longestRow } from "../../data/packing.js";
import { type PairRow, recognisePair } from "../../data/pair.js";
import { recogniseRow } from "../../data/recognise.js";
import { questionOf, type SourceRow } from "../../data/row.js";
import { firstOf, mapped, type Series, select } from "../../data/series.js";
import { longestText } from "../../data/sizes.js";
import { InputError } from "../../errors.js";
import { exactMatch } from "../../evaluation/exact-match.js";
import { type GeneralMeasure, measureGeneral, probeSequences } from "../../evaluation/general.js";
import { modelSubject } from "../../evaluation/model-subject.js";
import { meanLoss, perplexity } from "../../evaluation/probe-score.js";
import { type Question, questionsOf } from "../../evaluation/questions.js";
import { scoreSequences } from "../../evaluation/score.js";
import { shareOf } from "../../evaluation/share.js";
import type { TokenLoss } from "../../evaluation/subject.js";
import { noiseWords, perplexityChange, type Sample, shareChange } from "../../evaluation/trade-off.js";
import type { InferenceAdapter } from "../../lora/inference.js";
import type { Comparison, EvaluationResult } from "../api.js";
import { type EvaluateSettings, evalSet, inCode, parseOptions } from "../options.js";
import { findAdapter, placedTaskType, readFittingAdapter } from "./adapter-place.js";
import { appliedTo } from "./applied-adapter.js";
import { askingPrecision, targetOf } from "./device.js";
import { evaluateLabels } from "./evaluate-labels.js";
import { evaluatePairs } from "./evaluate-pairs.js";
import type { Measured } from "./measured.js";
import { type DescribedModel, describeModel, mapModel, type OpenedModel } from "./open-model.js";
import { PROBE_TOKENS, readProbe } from "./probe.js";
import { encodeShelved, type PassOptions, readShelvedRows } from "./row-pass.js";
import { compileMeasures } from "./training/programs.js";
import { SAMPLES } from "./training/target.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** One side of the comparison: the losses of all examples, the answers to all questions, and the general probe. */
interface Side {
  readonly losses: readonly TokenLoss[];
  readonly answers: readonly string[];
  readonly general: GeneralMeasure | undefined;
}

/** The work of `evaluate`, in its worker: what is measured is what the adapter was trained for, or without one, what the rows are. */
export async function runEvaluation(options: unknown, context: WorkerContext): Promise<EvaluationResult> {
  const started = performance.now();
  const settings = parseOptions(evalSet, options, inCode);
  const { model, adapter, data } = settings;
  const measured = await measureFile(settings, context);
  return { model, ...(adapter === undefined ? {} : { adapter }), data, ...measured, seconds: (performance.now() - started) / 1000 };
}

async function measureFile(settings: EvaluateSettings, context: WorkerContext): Promise<Measured> {
  const { adapter, data, limit } = settings;
  const taskType = adapter === undefined ? undefined : await placedTaskType(await findAdapter(adapter, context));
  if (adapter !== undefined && (taskType === "SEQ_CLS" || taskType === "TOKEN_CLS"))
    return evaluateLabels({ ...settings, adapter }, context);
  const { rows } = await readShelvedRows<SourceRow | PairRow>(
    data,
    (value) => (isPair(value) ? recognisePair(value) : recogniseRow(value)),
    settings,
    { signal: context.signal, onProgress: context.emit },
  );
  const some = select(
    rows,
    Int32Array.from({ length: Math.min(rows.length, limit ?? rows.length) }, (_, index) => index),
  );
  let pairs = 0;
  for (const row of some) if ("anchor" in row) pairs++;
  if (pairs === some.length && (taskType === undefined || taskType === "FEATURE_EXTRACTION"))
    return evaluatePairs(some as Series<PairRow>, settings, context);
  if (pairs > 0 || taskType === "FEATURE_EXTRACTION") {
    const reason =
      taskType === "FEATURE_EXTRACTION"
        ? `${adapter} turns texts into vectors, and is measured on rows with "anchor" and "positive"`
        : 'rows with "anchor" and "positive" measure models and adapters that turn texts into vectors';
    throw new InputError(`${data}: ${reason}; ${some.length - pairs} of ${some.length} rows are others.`);
  }
  return evaluateAnswers(some as Series<SourceRow>, settings, context);
}

const isPair = (value: unknown): boolean => typeof value === "object" && value !== null && "anchor" in value && "positive" in value;

/** How well a file's answers are known. Files are read before the model, and its description before its weights. */
async function evaluateAnswers(rows: Series<SourceRow>, settings: EvaluateSettings, context: WorkerContext): Promise<Measured> {
  const notices: string[] = [];
  const opening = { signal: context.signal, onProgress: context.emit, onNotice: (notice: string) => notices.push(notice) };
  const described = await describeModel(settings.model, opening);
  const placed = settings.adapter === undefined ? undefined : await readFittingAdapter(settings.adapter, described, context);
  const { examples, questions, notes } = await tasksOf(described, rows, settings, opening);
  const device = { target: targetOf(settings.device), threads: settings.threads, precision: await askingPrecision(settings) };
  const opened = await mapModel(described, device, opening);

  const adapter = placed === undefined ? undefined : await appliedTo(opened, placed.adapter);
  const base = await measureSide(opened, undefined, examples, questions, settings, context);
  const adapted = adapter === undefined ? undefined : await measureSide(opened, adapter, examples, questions, settings, context);
  const comparisons = compare(base, adapted, questions, settings);
  return {
    comparisons,
    samples: samplesOf(questions, base, adapted),
    notes: [...notices, ...notes],
    sentence: sentenceOf(comparisons),
  };
}

interface Tasks {
  readonly examples: Series<Example>;
  readonly questions: Series<Question>;
  /** What was cut or left out. */
  readonly notes: readonly string[];
}

async function tasksOf(
  { codec, model }: DescribedModel,
  rows: Series<SourceRow>,
  settings: EvaluateSettings,
  pass: PassOptions,
): Promise<Tasks> {
  const { maxPositions } = model.dimensions;
  const maxLength = Math.min(settings.maxLength, maxPositions);
  const shelved = shelveExamples<Example, SourceRow>(rows, ({ row, source }) => ({ row, source }));
  const encoder = rowEncoder(codec, { maxLength, overflow: settings.overflow }, shelved);
  const { examples, counts } = await encodeShelved(rows, encoder, pass);
  const questions = new Shelf<Question>("questions that do not fit into memory");
  for (const question of questionsOf(codec, examples, Math.min(maxLength, maxPositions - settings.maxNewTokens))) questions.push(question);
  let asking = 0;
  for (const { row } of examples) if (questionOf(row) !== undefined) asking++;
  const unasked = asking - questions.length;
  const notes: readonly (readonly [count: number, words: string])[] = [
    [counts.cut, `are longer than ${maxLength} tokens (--max-length): only their beginnings are measured`],
    [counts.droppedTooLong, `are longer than ${maxLength} tokens (--max-length) and left out`],
    [counts.droppedEmpty, "have no answer to measure and are left out"],
    [unasked, "have a prompt too long to be answered, and count for the loss alone"],
  ];
  const of = `of ${counts.rows} examples`;
  return {
    examples,
    questions,
    notes: notes.filter(([count]) => count > 0).map(([count, words]) => `${settings.data}: ${count} ${of} ${words}.`),
  };
}

async function measureSide(
  opened: OpenedModel,
  adapter: InferenceAdapter | undefined,
  examples: Series<Example>,
  questions: Series<Question>,
  settings: EvaluateSettings,
  { signal, emit }: WorkerContext,
): Promise<Side> {
  const { codec } = opened;
  const vector = adapter?.vector ?? new Float32Array();
  let longest = Math.max(PROBE_TOKENS, longestText(examples));
  for (const { ids } of questions) longest = Math.max(longest, ids.length + settings.maxNewTokens);
  const probe = settings.general ? await readProbe() : undefined;
  const programs = await compileMeasures(opened, adapter?.layout, vector, longestRow(longest));
  const total = examples.length + questions.length + (probe === undefined ? 0 : probeSequences(probe));
  let done = 0;
  const onProgress = (sequences: number) => {
    done += sequences;
    emit({ task: adapter === undefined ? "measuring the model" : "measuring with the adapter", done, total, unit: "items" });
  };
  try {
    const subject = modelSubject({ ...programs, trainables: vector, codec, batchSize: settings.batchSize, breathe, onProgress });
    return {
      losses: await scoreSequences(subject, examples, "example", signal),
      answers: await subject.complete(
        mapped(questions, ({ ids }) => ids),
        { maxNewTokens: settings.maxNewTokens, signal },
      ),
      general: probe === undefined ? undefined : await measureGeneral(subject, probe, codec, signal),
    };
  } finally {
    await programs.release();
  }
}

function compare(base: Side, adapted: Side | undefined, questions: Series<Question>, { normaliser }: EvaluateSettings): Comparison[] {
  const judge = ({ answers }: Side) =>
    Array.from(questions, ({ expected }, index) => exactMatch(expected, answers[index] ?? "", normaliser));
  const comparisons: Comparison[] = [
    lossComparison(base, adapted),
    perplexityComparison("perplexity", "target", base.losses, adapted?.losses),
  ];
  if (questions.length > 0) comparisons.push(shareComparison("exact match", "target", judge(base), adapted && judge(adapted)));
  if (base.general !== undefined) {
    comparisons.push(
      shareComparison("general questions", "general", base.general.cloze.correct, adapted?.general?.cloze.correct),
      perplexityComparison("general text", "general", base.general.passages.losses, adapted?.general?.passages.losses),
    );
  }
  return comparisons;
}

function lossComparison(base: Side, adapted: Side | undefined): Comparison {
  const common = { metric: "loss", side: "target", unit: "nats", n: base.losses.length, base: meanLoss(base.losses) } as const;
  return adapted === undefined ? common : { ...common, adapted: meanLoss(adapted.losses) };
}

function perplexityComparison(
  metric: string,
  side: Comparison["side"],
  base: readonly TokenLoss[],
  adapted: readonly TokenLoss[] | undefined,
): Comparison {
  const common = { metric, side, unit: "perplexity", n: base.length, base: perplexity(base) } as const;
  return adapted === undefined ? common : { ...common, adapted: perplexity(adapted), change: perplexityChange(base, adapted) };
}

function shareComparison(
  metric: string,
  side: Comparison["side"],
  base: readonly boolean[],
  adapted: readonly boolean[] | undefined,
): Comparison {
  const common = { metric, side, unit: "share", n: base.length, base: shareOf(base) } as const;
  return adapted === undefined ? common : { ...common, adapted: shareOf(adapted), change: shareChange(base, adapted) };
}

function samplesOf(questions: Series<Question>, base: Side, adapted: Side | undefined): EvaluationResult["samples"] {
  return firstOf(questions, SAMPLES).map(({ text, expected }, index): Omit<Sample, "after"> & { after?: string } => ({
    prompt: text,
    expected,
    before: base.answers[index] ?? "",
    ...(adapted === undefined ? {} : { after: adapted.answers[index] ?? "" }),
  }));
}

/** The outcome in one sentence. */
function sentenceOf(comparisons: readonly Comparison[]): string {
  const parts = comparisons
    .filter(({ unit }) => unit !== "nats")
    .map(({ metric, base, adapted, change, unit, n }) => {
      const show = (value: number) => (unit === "share" ? `${Math.round(value * n)} of ${n}` : value.toFixed(2));
      if (adapted === undefined || change === undefined) return `${metric} ${show(base)}`;
      return `${metric} ${show(adapted)} (${show(base)} without the adapter${noiseWords(change)})`;
    });
  return `${parts.join("; ")}.`;
}
