import { createHash } from "node:crypto";
import { cpus } from "node:os";
import { openBatches } from "../../../data/batch.js";
import { lessonOf, textsOf } from "../../../data/lesson.js";
import { longestOf, longestRow } from "../../../data/packing.js";
import { configOf } from "../../../lora/adapter.js";
import { type AdapterLayout, buildLayout } from "../../../lora/layout.js";
import { type AdapterSpec, adaptGroups } from "../../../lora/spec.js";
import { variantOf } from "../../../lora/variants/index.js";
import type { RankBudget, VariantSettings } from "../../../lora/variants/variant.js";
import type { ModelGraph } from "../../../models/architecture.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import type { RunIdentity } from "../../../training/node/checkpoint-file.js";
import type { TrainSettings } from "../../options.js";
import { weightsOf } from "../applied-adapter.js";
import { targetOf, trainingPrecision } from "../device.js";
import { mapModel, type OpenedModel, type OpenOptions } from "../open-model.js";
import { checkpointingOf } from "../run-memory.js";
import { startedFromData } from "./data-start.js";
import { readEmbeddingTask } from "./embedding-task.js";
import { readLabelTask } from "./label-task.js";
import { readLanguageTask } from "./language-task.js";
import { updatesOf } from "./length.js";
import { withOwnBase } from "./own-base.js";
import type { DataStarted, PreparedRun, ReadTask, RunTask, TaskReader, TaskSettings, TaughtExample } from "./run-task.js";

/** How the tasks of `--task` are read. */
const taskReaders: Readonly<Record<TrainSettings["task"], TaskReader>> = {
  sft: readLanguageTask,
  classification: readLabelTask,
  "token-classification": readLabelTask,
  regression: readLabelTask,
  embedding: readEmbeddingTask,
};

/** A run's files, and the description of its model. */
export const readTask = (settings: TaskSettings, options: OpenOptions): Promise<ReadTask> => taskReaders[settings.task](settings, options);

/** The layout of what a task trains: an adapter, and behind it what its objective trains whole. */
export function trainablesOf({ learned }: RunTask, spec: AdapterSpec): AdapterLayout {
  return buildLayout(adaptGroups(learned.model.linearGroups, spec), learned.objective?.parameters, variantOf(spec.method ?? "lora"));
}

/**
 * Reads files before the model, and the model's description before its weights: a mistake is told before it has cost time.
 *
 * @param saved the run that is to go on, if any
 */
export async function prepareRun(
  settings: TrainSettings,
  options: OpenOptions,
  saved: RunIdentity | undefined = undefined,
): Promise<PreparedRun> {
  const { described, task } = await readTask(settings, options);
  const asked = specOf(settings, updatesPlanned(settings, task));
  const planned = trainablesOf(task, asked);
  const precision = await trainingPrecision(settings, described.model);
  const { data, learned } = task;
  const checkpointing = checkpointingOf({ ...described, ...learned }, planned, { ...settings, precision }, data);
  const names = [...described.model.linearGroups.flat(), ...(described.model.otherLayers ?? [])];
  const configFor = (spec: AdapterSpec, layout: AdapterLayout, base: string) => configOf(spec, layout, names, base, task.config);
  const config = configFor(asked, planned, described.name);
  const beside = await withOwnBase(described, { settings, spec: asked, layout: planned, config }, options);
  const opened = await mapModel(beside, { target: targetOf(settings.device), threads: settings.threads, precision }, options);
  const examples = [...data.train, ...data.validation];
  const maxTokens = longestRow(longestOf(examples.flatMap(textsOf)));
  const fromData = await startedFromData({ settings, spec: asked, task, compile: opened.compile, maxTokens }, saved, options);
  const spec = fromData?.spec ?? asked;
  const layout = fromData === undefined ? planned : trainablesOf(task, spec);
  const most = data.train.reduce((found, example) => Math.max(found, lessonOf(example).places.length), 0);
  return {
    settings,
    opened,
    task,
    spec,
    layout,
    config: configFor(spec, layout, opened.name),
    weightOf: weightsOf(described),
    checkpointing,
    inputsOf: fromData?.inputsOf,
    identity: await identityOf(settings, opened, task, { parameters: layout.length, ranks: fromData?.ranks }),
    maxTokens,
    maxSupervised: settings.batchSize * most,
  };
}

/** Updates of a run, where its options say it. */
function updatesPlanned({ duration, batchSize, seed, accumulate }: TrainSettings, { data }: RunTask): number | undefined {
  return updatesOf(duration, openBatches(data.train, { batchSize, seed }).batchesPerEpoch, accumulate);
}

/** What AdaLoRA prunes, when, of a run of so many updates. */
function budgetOf(
  { rank, targetRank, pruneFrom, pruneUntil, pruneEvery, orthogonality }: BudgetOptions,
  updates: number | undefined,
): RankBudget | undefined {
  if (updates === undefined) return undefined;
  const initial = Math.round(pruneFrom * updates);
  const final = updates - Math.max(initial + 1, Math.round(pruneUntil * updates));
  const steps = { initial, final: Math.max(0, final), every: pruneEvery, total: updates };
  return { targetRank: targetRank ?? Math.ceil((2 * rank) / 3), orthogonality, steps };
}

type BudgetOptions = Pick<TrainSettings, "rank" | "targetRank" | "pruneFrom" | "pruneUntil" | "pruneEvery" | "orthogonality">;

/**
 * What the options say of a new adapter.
 *
 * @param updates of the run, where they are known
 */
export function specOf(
  settings: Pick<
    TrainSettings,
    Exclude<keyof AdapterSpec, "rankStabilised" | "settings"> | "rslora" | keyof Omit<VariantSettings, "budget" | "masks">
  > &
    BudgetOptions,
  updates?: number,
): AdapterSpec {
  const {
    rho,
    loftqRounds,
    seed,
    rslora: rankStabilised,
    method,
    rank,
    alpha,
    rankPattern,
    alphaPattern,
    dropout,
    layers,
    exclude,
    blocks,
    initialisation,
  } = settings;
  const chosen = { layers, exclude, blocks };
  return {
    method,
    rank,
    alpha,
    rankPattern,
    alphaPattern,
    rankStabilised,
    dropout,
    ...chosen,
    initialisation,
    settings: { rho, loftqRounds, seed, budget: budgetOf(settings, updates) },
  };
}

/** Processor threads of a run. */
export const threadsOf = ({ threads }: Pick<TrainSettings, "threads">): number => threads ?? cpus().length;

/** What a checkpoint compares before a run goes on: all that its numbers depend on, and nothing else. */
async function identityOf(
  settings: TrainSettings,
  opened: OpenedModel<ModelGraph>,
  { data, labelling }: RunTask,
  { parameters, ranks }: { readonly parameters: number; readonly ranks: DataStarted["ranks"] | undefined },
): Promise<RunIdentity> {
  const {
    out: _out,
    resume: _resume,
    report: _report,
    saveEvery: _saveEvery,
    precision: _precision, // what it stands for is the machine's
    gradientCheckpointing: _gradientCheckpointing, // the numbers are the same
    threads: _threads,
    device: _device,
    data: _data,
    valid: _valid,
    model: _model,
    ...options
  } = settings;
  return {
    run: {
      ...options,
      model: await modelDigest(opened),
      trainingData: digestOf(data.train),
      validationData: digestOf(data.validation),
      parameters,
      ...(ranks === undefined ? {} : { ranks }),
      ...(labelling === undefined ? {} : { labels: labelling.labels }),
    },
    machine: {
      engine: nodeEngine.version,
      processor: cpus()[0]?.model ?? "unknown",
      threads: threadsOf(settings),
      device: opened.compile.target,
      precision: opened.precision,
    },
  };
}

/** Bytes of each tensor that tell two fine-tunings of one model apart; the start of a matrix changes in every training. */
const SAMPLE_BYTES = 256;

/** The configuration, and of every tensor its name, type, shape and first bytes. */
async function modelDigest({ config, checkpoint }: OpenedModel<ModelGraph>): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(config));
  for (const { name, type, shape, source, offset, byteLength } of checkpoint.tensors.values()) {
    hash.update(JSON.stringify([name, type, shape])).update(await source.read(offset, Math.min(byteLength, SAMPLE_BYTES)));
  }
  return hash.digest("hex").slice(0, 16);
}

function digestOf(examples: readonly TaughtExample[]): string {
  const hash = createHash("sha256");
  for (const example of examples) {
    hash.update(example.ids);
    if ("partner" in example && example.partner !== undefined) hash.update(example.partner.ids);
    if ("places" in example) for (const values of [example.places, example.targets, example.weights]) hash.update(values);
    else hash.update(example.supervised);
    hash.update("|");
  }
  return hash.digest("hex").slice(0, 16);
}
