import { createHash } from "node:crypto";
import { cpus } from "node:os";
import { openBatches } from "../../../data/batch.js";
import { longestRow } from "../../../data/packing.js";
import type { Series } from "../../../data/series.js";
import { longestText, mostPlaces } from "../../../data/sizes.js";
import { rateSpans } from "../../../lora/learning-rates.js";
import type { ModelGraph } from "../../../models/architecture.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import type { RunIdentity } from "../../../training/node/checkpoint-file.js";
import { readStretches } from "../../../weights/byte-source.js";
import type { TrainSettings } from "../../options.js";
import { weightsOf } from "../applied-adapter.js";
import { targetOf, trainingPrecision } from "../device.js";
import { mapModel, type OpenedModel, type OpenOptions } from "../open-model.js";
import { checkpointingOf } from "../run-memory.js";
import { readEmbeddingTask } from "./embedding-task.js";
import { readLabelTask } from "./label-task.js";
import { readLanguageTask } from "./language-task.js";
import { updatesOf } from "./length.js";
import { productOf } from "./products/index.js";
import type { DataStarted, PreparedRun, ReadTask, RunTask, TaskReader, TaskSettings, TaughtExample } from "./run-task.js";
import { learnedModel, trainedTokens } from "./trained-tokens.js";

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
  const tokens = trainedTokens(settings.trainableTokens, described.codec);
  const asked = productOf(settings, { updates: updatesPlanned(settings, task), tokens });
  const head = task.learned.objective?.parameters ?? [];
  const planned = asked.layout(learnedModel(task.learned), head);
  if (settings.loraPlusRatio !== 1) rateSpans(planned, settings.loraPlusRatio); // what has no rates is told before the weights are read
  const precision = await trainingPrecision(settings, described.model);
  const { data, learned } = task;
  const checkpointing = checkpointingOf({ ...described, ...learned }, planned, { ...settings, precision }, data);
  const beside = await asked.ownBase(described, { settings, layout: planned, task }, options);
  const opened = await mapModel(beside, { target: targetOf(settings.device), threads: settings.threads, precision }, options);
  const maxTokens = longestRow(Math.max(longestText(data.train), longestText(data.validation)));
  const fromData = await asked.lookAtData({ settings, task, compile: opened.compile, maxTokens }, saved, options);
  const product = fromData?.product ?? asked;
  const layout = fromData === undefined ? planned : product.layout(learnedModel(learned), head);
  return {
    settings,
    opened,
    task,
    product,
    layout,
    config: product.config(layout, opened.model, opened.name, task.config),
    weightOf: weightsOf(described),
    checkpointing,
    inputsOf: fromData?.inputsOf,
    identity: await identityOf(settings, opened, task, { parameters: layout.length, ranks: fromData?.ranks }),
    maxTokens,
    maxSupervised: settings.batchSize * mostPlaces(data.train),
  };
}

/** Updates of a run, where its options say it. */
function updatesPlanned({ duration, batchSize, seed, accumulate }: TrainSettings, { data }: RunTask): number | undefined {
  return updatesOf(duration, openBatches(data.train, { batchSize, seed }).batchesPerEpoch, accumulate);
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
  const tensors = [...checkpoint.tensors.values()];
  const samples = await readStretches(
    tensors.map(({ source, offset, byteLength }) => ({ source, offset, length: Math.min(byteLength, SAMPLE_BYTES) })),
  );
  tensors.forEach(({ name, type, shape }, index) => {
    hash.update(JSON.stringify([name, type, shape])).update(samples[index] ?? "");
  });
  return hash.digest("hex").slice(0, 16);
}

function digestOf(examples: Series<TaughtExample>): string {
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
