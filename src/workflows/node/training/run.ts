import { performance } from "node:perf_hooks";
import { openBatches } from "../../../data/batch.js";
import { InputError } from "../../../errors.js";
import type { AdapterVectors } from "../../../lora/adapter.js";
import { initialiseAdapter } from "../../../lora/initialise.js";
import type { AdapterLayout } from "../../../lora/layout.js";
import { rateSpans } from "../../../lora/learning-rates.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import type { StartEvent } from "../../../training/events.js";
import { LossProgram } from "../../../training/loss-program.js";
import { differences, loadCheckpoint, type SavedCheckpoint, saveCheckpoint } from "../../../training/node/checkpoint-file.js";
import { createOptimizer, type Optimizer, type OptimizerState } from "../../../training/optimizer.js";
import { runTrainer, type TrainerEvent, type TrainerResult } from "../../../training/trainer.js";
import { compileUpdate } from "../../../training/update-program.js";
import type { DoneEvent, Progress, TrainEvent } from "../../api.js";
import { inCode, parseOptions, trainSet } from "../../options.js";
import { packageVersion } from "../package-version.js";
import { appendMetric, checkRunFolder, makeRunFolder, type RunFolder, truncateMetrics, writeOptions } from "../run-folder.js";
import { runOptionsText, schemaSeenFrom } from "../run-options.js";
import { breathe, type WorkerContext } from "../worker/context.js";
import { partHeldOut, sharedNote } from "./held-out.js";
import { trainerSettings, updatesOf } from "./length.js";
import { peakBytes } from "./memory.js";
import { prepareRun, threadsOf } from "./prepare.js";
import { compileGradient } from "./programs.js";
import type { PreparedRun, TaughtExample } from "./run-task.js";
import { startOf } from "./start.js";
import type { TargetSpec } from "./target.js";

/** What a training run is asked for; `target` says how its task is scored at the end. */
export interface TrainingRequest {
  readonly options: unknown;
  readonly target: TargetSpec;
  /** Ends the training after this time even where its options ask for more. */
  readonly withinSeconds?: number;
}

/** A training run from the options to the report; every event goes out as it happens. */
export async function runTraining({ options, target, withinSeconds }: TrainingRequest, context: WorkerContext): Promise<void> {
  const emit = (event: TrainEvent) => context.emit(event);
  const settings = parseOptions(trainSet, options, inCode);
  const folder = await checkRunFolder(settings.out, settings.resume);
  const saved = settings.resume ? await loadCheckpoint(folder.checkpoint) : undefined;
  const opening = {
    signal: context.signal,
    onProgress: (progress: Progress) => emit({ type: "progress", ...progress }),
    onNotice: (message: string) => emit({ type: "warning", message }),
  };
  const prepared = await prepareRun(settings, opening, saved?.identity);
  await makeRunFolder(folder, settings.resume);
  const resumed = saved && (await resumeFrom(folder, prepared, saved, emit));
  await writeOptions(folder, await optionsText(options, prepared, folder));

  const { task } = prepared;
  const heldOut = partHeldOut(task.data.validation, settings.seed, task.mostScoring);
  const caution = target.kind === "held-out" ? sharedNote(heldOut) : undefined;
  const notes = settings.report && caution !== undefined ? [caution] : [];
  const result = await train({ prepared, folder, resumed, withinSeconds, validation: heldOut.choosing, notes }, context, emit);
  await prepared.product.finish({ prepared, folder, ...result }, (progress) => emit({ type: "progress", ...progress }));
  const done = doneEvent(prepared, folder, result);
  const scores =
    settings.report && result.reason === "finished"
      ? await task.measure(
          { prepared, folder, target, examples: heldOut.scoring, caution, state: result.state, frozen: result.frozen, cost: done },
          { signal: context.signal, emit },
        )
      : undefined;
  // Where the measuring was stopped, --resume makes up for it.
  const last: DoneEvent = { ...done, ...scores, reason: context.signal.aborted ? "interrupted" : done.reason };
  // The adapter is saved: a disk that is full by now must not cost the run its ending.
  await appendMetric(folder, last).catch((error: unknown) => {
    emit({ type: "warning", message: error instanceof Error ? error.message : String(error) });
  });
  emit(last);
}

/** What training needs beside its surroundings. */
interface Training {
  readonly prepared: PreparedRun;
  readonly folder: RunFolder;
  readonly resumed: SavedCheckpoint | undefined;
  readonly withinSeconds: number | undefined;
  /** Examples whose loss chooses the adapter. */
  readonly validation: readonly TaughtExample[];
  /** Sentences for the first event, beside those on the data. */
  readonly notes: readonly string[];
}

/** How a run ended, and what its adapter kept of its start. */
type TrainedResult = TrainerResult & Pick<AdapterVectors, "frozen">;

type Surroundings = readonly [emit: (event: TrainEvent) => void, breatheOrStop: () => Promise<void>];

/** The adapter of a new run, its progress told layer by layer. */
function startAdapter(prepared: PreparedRun, ...[emit, breatheOrStop]: Surroundings) {
  return initialiseAdapter(prepared.layout, {
    ...startOf(prepared),
    pause: async (done) => {
      emit({ type: "progress", task: "starting the adapter", done, total: layersOf(prepared.layout), unit: "items" });
      await breatheOrStop();
    },
  });
}

/** The values that training begins with. A run that goes on has its trainables; what the adapter keeps of its start is made again. */
async function startOrGoOn(prepared: PreparedRun, resumed: SavedCheckpoint | undefined, ...surroundings: Surroundings) {
  if (resumed === undefined) return startAdapter(prepared, ...surroundings);
  const { trainables } = resumed.state;
  const keepsNothing = prepared.layout.frozenLength === 0;
  return { trainables, frozen: keepsNothing ? new Float32Array() : (await startAdapter(prepared, ...surroundings)).frozen };
}

/** Trains; the result is the trainer's, its checkpoint written. */
async function train(training: Training, { signal }: WorkerContext, emit: (event: TrainEvent) => void): Promise<TrainedResult> {
  const { prepared, folder, resumed, withinSeconds, validation } = training;
  const { settings, opened, task, layout, maxTokens } = prepared;
  const { batchSize, seed } = settings;
  const stream = openBatches(task.data.train, { batchSize, seed }, resumed?.state.cursor);
  const trainer = trainerSettings(settings, stream.batchesPerEpoch, withinSeconds);
  const breatheOrStop = async () => {
    await breathe();
    signal.throwIfAborted();
  };
  const { trainables, frozen } = await startOrGoOn(prepared, resumed, emit, breatheOrStop);
  const compiled: { release?(): Promise<void> }[] = [];
  const keep = <Compiled extends { release?(): Promise<void> }>(one: Compiled): Compiled => {
    compiled.push(one);
    return one;
  };
  try {
    const optimizer = keep(await optimizerFor(prepared, resumed?.state.optimizer));
    const { program, dropout } = await compileGradient(prepared, frozen);
    keep(program);
    let loss: LossProgram | undefined;
    // Compiled when the first loss is asked for, so that the first update need not wait for it.
    const evaluate = async (values: Float32Array) => {
      loss ??= keep(await LossProgram.compile(nodeEngine, { ...task.learned, layout, frozen, maxTokens }, opened.compile));
      return task.validate(validation, { program: loss, trainables: values, batchSize, breathe: breatheOrStop });
    };
    emit(startEvent(training, updatesOf(settings.duration, stream.batchesPerEpoch, settings.accumulate)));

    const run = runTrainer(trainer, {
      gradient: (batch, number, values, into) => {
        dropout?.draw(number, batch);
        return program.run(batch, values, into);
      },
      evaluate: validation.length === 0 ? undefined : evaluate,
      bestFrom: prepared.product.shaping(layout)?.settledFrom,
      stream,
      optimizer,
      trainables,
      save: async (state) => {
        await saveCheckpoint(folder.checkpoint, { identity: prepared.identity, state });
        await prepared.product.keep({ prepared, folder, state, frozen });
        return folder.checkpoint;
      },
      now: () => performance.now(),
      peakBytes,
      breathe,
      signal,
      resumed: resumed?.state,
    });
    return { ...(await record(run, folder, emit)), frozen };
  } finally {
    for (const each of compiled) await each.release?.();
  }
}

/** AdamW runs where the gradients are made; momentum, unequal rates and what a variant adds are loops of the host everywhere. */
async function optimizerFor(
  { settings: { optimizer, loraPlusRatio }, opened, layout, product }: PreparedRun,
  saved: OptimizerState | undefined,
): Promise<Optimizer> {
  const shaping = product.shaping(layout);
  const rates = loraPlusRatio === 1 ? undefined : rateSpans(layout, loraPlusRatio);
  if (rates !== undefined || shaping !== undefined) return createOptimizer(optimizer, layout.length, saved, { rates, shaping });
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

/** The run in the folder, if it is the one that the options describe. */
async function resumeFrom(
  folder: RunFolder,
  { identity }: PreparedRun,
  saved: SavedCheckpoint,
  emit: (event: TrainEvent) => void,
): Promise<SavedCheckpoint> {
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
  await truncateMetrics(folder, saved.state.progress);
  return saved;
}

/** @param updates of the whole run; undefined for one bounded by time */
function startEvent({ prepared, resumed, validation, notes }: Training, updates: number | undefined): StartEvent {
  const { opened, task, layout } = prepared;
  const { data } = task;
  const partly =
    validation.length < data.validation.length
      ? [`the loss during training is measured on ${validation.length} of the ${data.validation.length} validation examples`]
      : [];
  return {
    type: "start",
    model: opened.name,
    layers: layersOf(layout),
    trainableParameters: layout.length,
    totalParameters: opened.parameters,
    trainExamples: data.train.length,
    validationExamples: data.validation.length,
    steps: updates ?? 0,
    ...(resumed === undefined ? {} : { resumedAt: resumed.state.progress.step }),
    device: opened.compile.target,
    precision: opened.precision,
    notes: [...task.notes, ...partly, ...(prepared.checkpointing.note === undefined ? [] : [prepared.checkpointing.note]), ...notes],
  };
}

const layersOf = ({ groups }: AdapterLayout): number => groups.reduce((sum, { layers }) => sum + layers.length, 0);

function doneEvent({ product }: PreparedRun, folder: RunFolder, { reason, state }: TrainerResult): DoneEvent {
  const { step, seconds, tokens, bestLoss, bestStep } = state.progress;
  return {
    type: "done",
    steps: step,
    reason,
    adapter: product.place(folder),
    kind: product.kind,
    seconds,
    tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
    peakBytes: peakBytes(),
    ...(bestLoss === undefined || bestStep === undefined ? {} : { bestLoss, bestStep }),
  };
}

async function optionsText(options: unknown, { settings, opened }: PreparedRun, folder: RunFolder): Promise<string> {
  const given = typeof options === "object" && options !== null ? { ...options } : {};
  return runOptionsText(
    given,
    { settings, precision: opened.precision, device: opened.compile.target, threads: threadsOf(settings) },
    { madeBy: `Lorikeet ${await packageVersion()} on ONNX Runtime ${nodeEngine.version}`, schema: schemaSeenFrom(folder.path) },
  );
}
