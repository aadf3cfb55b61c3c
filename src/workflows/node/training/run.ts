import { performance } from "node:perf_hooks";
import { measuringBatches, openBatches } from "../../../data/batch.js";
import { InputError } from "../../../errors.js";
import { adapterFromVector } from "../../../lora/adapter.js";
import { initialiseAdapter } from "../../../lora/initialise.js";
import { writeAdapterFolder } from "../../../lora/node/adapter-folder.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import type { StartEvent } from "../../../training/events.js";
import { LossProgram, meanLoss } from "../../../training/loss-program.js";
import { differences, loadCheckpoint, type SavedCheckpoint, saveCheckpoint } from "../../../training/node/checkpoint-file.js";
import { createOptimizer, type Optimizer, type OptimizerState } from "../../../training/optimizer.js";
import { runTrainer, type TrainerEvent, type TrainerResult, type TrainerSettings, type TrainerState } from "../../../training/trainer.js";
import { compileUpdate } from "../../../training/update-program.js";
import type { DoneEvent, TrainEvent } from "../../api.js";
import { inCode, parseOptions, type TrainSettings, trainSet } from "../../options.js";
import { appendMetric, checkRunFolder, makeRunFolder, type RunFolder, truncateMetrics, writeOptions } from "../run-folder.js";
import { breathe, type WorkerContext } from "../worker/context.js";
import { updatesIn } from "./length.js";
import { peakBytes } from "./memory.js";
import { type PreparedRun, prepareRun } from "./prepare.js";
import { compileGradient } from "./programs.js";
import type { TargetSpec } from "./target.js";
import { measureTradeOff } from "./trade-off.js";

/** What a training run is asked for; `target` says how its task is scored at the end. */
export interface TrainingRequest {
  readonly options: unknown;
  readonly target: TargetSpec;
  /** Ends the training after this time even where its options ask for more. */
  readonly withinSeconds?: number;
}

/** Ten evaluations in a run show a curve; validation on more examples than this would cost more than it tells. */
const DEFAULT_EVALUATIONS = 10;
const VALIDATION_EXAMPLES = 100;
/** Most updates between two checkpoints of a run bounded by time. */
const UNTIMED_PERIOD = 100;

/** A training run from the options to the report; every event goes out as it happens. */
export async function runTraining({ options, target, withinSeconds }: TrainingRequest, context: WorkerContext): Promise<void> {
  const emit = (event: TrainEvent) => context.emit(event);
  const settings = parseOptions(trainSet, options, inCode);
  const folder = await checkRunFolder(settings.out, settings.resume);
  const prepared = await prepareRun(settings, {
    signal: context.signal,
    onProgress: (progress) => emit({ type: "progress", ...progress }),
    onNotice: (message) => emit({ type: "warning", message }),
  });
  await makeRunFolder(folder, settings.resume);
  const resumed = settings.resume ? await resumeFrom(folder, prepared, emit) : undefined;
  await writeOptions(folder, { ...recordOf(options), resume: undefined });

  const result = await train(prepared, folder, { resumed, withinSeconds }, context, emit);
  const done = doneEvent(folder, result);
  const report =
    settings.report && result.reason === "finished"
      ? await measureTradeOff(prepared, folder, done, target, result.state, { ...context, emit })
      : undefined;
  // Where the measuring was stopped, --resume makes up for it.
  const last: DoneEvent = { ...done, ...report, reason: context.signal.aborted ? "interrupted" : done.reason };
  await appendMetric(folder, last);
  emit(last);
}

/** Trains; the result is the trainer's, its checkpoint written. */
async function train(
  prepared: PreparedRun,
  folder: RunFolder,
  { resumed, withinSeconds }: { readonly resumed: SavedCheckpoint | undefined; readonly withinSeconds: number | undefined },
  { signal }: WorkerContext,
  emit: (event: TrainEvent) => void,
): Promise<TrainerResult> {
  const { settings, opened, data, layout, spec } = prepared;
  const { batchSize, seed } = settings;
  const stream = openBatches(data.train, { batchSize, seed }, resumed?.state.cursor);
  const trainables = resumed?.state.trainables ?? initialiseAdapter(layout, spec.initialisation, seed);
  const optimizer = await optimizerFor(prepared, resumed?.state.optimizer);
  const trainer = trainerSettings(settings, stream.batchesPerEpoch, withinSeconds);
  const gradient = await compileGradient(prepared);
  const validation = data.validation.slice(0, VALIDATION_EXAMPLES);
  const loss =
    validation.length === 0
      ? undefined
      : await LossProgram.compile(nodeEngine, { model: opened.model, layout, maxTokens: prepared.maxTokens }, opened.compile);
  emit(startEvent(prepared, trainer, resumed, validation.length));

  const breatheOrStop = async () => {
    await breathe();
    signal.throwIfAborted();
  };
  const run = runTrainer(trainer, {
    gradient: (batch, number, values, into) => {
      gradient.dropout?.draw(number, batch);
      return gradient.program.run(batch, values, into);
    },
    evaluate:
      loss === undefined
        ? undefined
        : async (values) => (await meanLoss(loss, batchesOf(validation, batchSize), values, breatheOrStop)).loss,
    stream,
    optimizer,
    trainables,
    save: async (state) => {
      await saveCheckpoint(folder.checkpoint, { identity: prepared.identity, state });
      await saveAdapters(prepared, folder, state);
      return folder.checkpoint;
    },
    now: () => performance.now(),
    peakBytes,
    breathe,
    signal,
    resumed: resumed?.state,
  });
  try {
    return await record(run, folder, emit);
  } finally {
    await gradient.program.release();
    await loss?.release();
    await optimizer.release?.();
  }
}

/** AdamW runs where the gradients are made; momentum is a loop of the host everywhere. */
async function optimizerFor(
  { settings: { optimizer }, opened, layout }: PreparedRun,
  saved: OptimizerState | undefined,
): Promise<Optimizer> {
  if (opened.compile.target === "webgpu" && optimizer.kind === "adamw") {
    return compileUpdate(nodeEngine, optimizer, layout.length, { target: "webgpu" }, saved);
  }
  return createOptimizer(optimizer, layout.length, saved);
}

/** Writes what happens into the metrics file and tells it. */
async function record(
  run: AsyncGenerator<TrainerEvent, TrainerResult>,
  folder: RunFolder,
  emit: (event: TrainEvent) => void,
): Promise<TrainerResult> {
  for (;;) {
    const { done, value } = await run.next();
    if (done) return value;
    await appendMetric(folder, value);
    emit(value);
  }
}

function* batchesOf(examples: PreparedRun["data"]["validation"], batchSize: number) {
  for (const { batch } of measuringBatches(examples, batchSize)) yield batch;
}

function trainerSettings(settings: TrainSettings, batchesPerEpoch: number, withinSeconds: number | undefined): TrainerSettings {
  const { duration, accumulate, evalEvery, saveEvery } = settings;
  const stepsOf = (epochs: number) => updatesIn(epochs, batchesPerEpoch, accumulate);
  const length: TrainerSettings["length"] =
    duration.kind === "minutes"
      ? { kind: "seconds", seconds: duration.minutes * 60 }
      : { kind: "steps", steps: duration.kind === "steps" ? duration.steps : stepsOf(duration.epochs), withinSeconds };
  const tenth = Math.max(1, Math.ceil((length.kind === "steps" ? length.steps : stepsOf(1)) / DEFAULT_EVALUATIONS));
  // How many updates fit into a time is not known beforehand; a kill must not cost all of it.
  const evaluateEvery = evalEvery ?? (length.kind === "steps" ? tenth : Math.min(tenth, UNTIMED_PERIOD));
  return {
    length,
    learningRate: settings.lr,
    schedule: { kind: settings.schedule, warmup: settings.warmup },
    clip: settings.clip,
    accumulate,
    evaluateEvery,
    saveEvery: saveEvery ?? evaluateEvery,
  };
}

/** The run in the folder, if it is the one that the options describe. */
async function resumeFrom(folder: RunFolder, { identity }: PreparedRun, emit: (event: TrainEvent) => void): Promise<SavedCheckpoint> {
  const saved = await loadCheckpoint(folder.checkpoint);
  const other = differences(saved.identity.run, identity.run);
  if (other.length > 0) {
    throw new InputError(
      [`${folder.path} holds another run; it cannot be resumed with these options:`, ...other].join("\n  ") +
        "\nRepeat its options (run.yaml), or start anew in another folder.",
    );
  }
  const machine = differences(saved.identity.machine, identity.machine);
  if (machine.length > 0)
    emit({ type: "warning", message: `The run goes on, but its last bits may differ from an uninterrupted one: ${machine.join("; ")}.` });
  await truncateMetrics(folder, saved.state.progress.step);
  return saved;
}

function startEvent(
  { opened, data, layout, settings }: PreparedRun,
  trainer: TrainerSettings,
  resumed: SavedCheckpoint | undefined,
  validated: number,
): StartEvent {
  const steps = trainer.length.kind === "steps" ? trainer.length.steps : 0;
  const partly =
    validated < data.validation.length
      ? [`the loss during training is measured on ${validated} of the ${data.validation.length} validation examples`]
      : [];
  return {
    type: "start",
    model: opened.name,
    layers: layout.groups.reduce((sum, { layers }) => sum + layers.length, 0),
    trainableParameters: layout.length,
    totalParameters: opened.parameters,
    trainExamples: data.train.length,
    validationExamples: data.validation.length,
    steps,
    ...(resumed === undefined ? {} : { resumedAt: resumed.state.progress.step }),
    device: opened.compile.target,
    precision: settings.precision === "auto" ? "fp32" : settings.precision,
    notes: [...data.notes, ...partly],
  };
}

/** The best adapter under `adapter`, that of the last update under `last`. */
async function saveAdapters({ config, layout }: PreparedRun, folder: RunFolder, { trainables, best }: TrainerState): Promise<void> {
  await writeAdapterFolder(folder.adapter, adapterFromVector(config, layout, best ?? trainables));
  await writeAdapterFolder(folder.last, adapterFromVector(config, layout, trainables));
}

function doneEvent(folder: RunFolder, { reason, state }: TrainerResult): DoneEvent {
  const { step, seconds, tokens, bestLoss, bestStep } = state.progress;
  return {
    type: "done",
    steps: step,
    reason,
    adapter: folder.adapter,
    seconds,
    tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
    peakBytes: peakBytes(),
    ...(bestLoss === undefined || bestStep === undefined ? {} : { bestLoss, bestStep }),
  };
}

function recordOf(options: unknown): Readonly<Record<string, unknown>> {
  return typeof options === "object" && options !== null ? { ...options } : {};
}
