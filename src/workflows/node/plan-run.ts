import { type AdapterLayout, buildLayout } from "../../lora/layout.js";
import { adaptGroups } from "../../lora/spec.js";
import type { Checkpoint } from "../../weights/checkpoint.js";
import type { PlanResult } from "../api.js";
import { inCode, type PlanSettings, parseOptions, planSet } from "../options.js";
import { targetOf, trainingPrecision } from "./device.js";
import { type DescribedModel, describeModel } from "./open-model.js";
import { batchCosts, planBatches, type RunBatches } from "./plan-batches.js";
import { measureProductSpeed } from "./product-speed.js";
import { encodeRun, type RunData, readRunRows } from "./run-data.js";
import { updatesOf } from "./training/length.js";
import type { WorkerContext } from "./worker/context.js";

/**
 * The share of a bare product's speed that the products of a whole step reach: the rest goes into softmax, norms, and small
 * products. Measured: SmolLM2-135M, rank 16 on all layers, batches of 4 × 128 and 4 × 256 tokens, two cores, fp32.
 */
const STEP_EFFICIENCY = 0.8;

/** The work of `plan`, in its worker. */
export async function runPlan(options: unknown, { signal, emit }: WorkerContext): Promise<PlanResult> {
  const settings = parseOptions(planSet, options, inCode);
  const choice = settings.data === undefined ? undefined : { ...settings, data: settings.data };
  const rows = choice === undefined ? undefined : await readRunRows(choice);
  const notices: string[] = [];
  const described = await describeModel(settings.model, { signal, onProgress: emit, onNotice: (notice) => notices.push(notice) });
  const layout = buildLayout(adaptGroups(described.model.linearGroups, settings));
  const data =
    rows === undefined || choice === undefined
      ? undefined
      : encodeRun(described.codec, rows, choice, described.model.dimensions.maxPositions);
  signal.throwIfAborted();

  const target = targetOf(settings.device);
  const precision = await trainingPrecision(settings, described.model);
  const batches = planBatches(described.model, settings, data);
  const costs = batchCosts(batches, described, layout, settings.dropout);
  const speed = (await measureProductSpeed({ target, threads: settings.threads })) * STEP_EFFICIENCY;
  const memory = memoryOf(described.checkpoint, described, layout, settings, costs.activationBytes);
  return {
    model: settings.model,
    architecture: described.model.modelType,
    layers: layersOf(layout),
    trainableParameters: layout.length,
    totalParameters: described.parameters,
    memory,
    device: target,
    precision,
    ...(data === undefined ? {} : { trainExamples: data.train.length, validationExamples: data.validation.length }),
    ...lengthOf(settings, batches, costs.flops / batches.perEpoch / speed),
    notes: [...notesOf(data, memory), ...notices],
  };
}

function layersOf(layout: AdapterLayout): PlanResult["layers"] {
  return layout.groups.flatMap(({ layers }) =>
    layers.map(({ name, inputs, outputs, rank }) => ({
      name,
      inFeatures: inputs,
      outFeatures: outputs,
      parameters: rank * (inputs + outputs),
    })),
  );
}

/** Updates, tokens and seconds of training, measuring left out. */
function lengthOf(
  { duration, accumulate }: PlanSettings,
  batches: RunBatches,
  secondsPerBatch: number,
): Pick<PlanResult, "steps" | "tokens" | "tokensPerSecond" | "seconds"> {
  const tokensPerBatch = batches.tokensPerEpoch / batches.perEpoch;
  const speed = { tokensPerSecond: tokensPerBatch / secondsPerBatch };
  const inTime = (minutes: number) => Math.max(1, Math.round((60 * minutes) / (secondsPerBatch * accumulate)));
  if (!batches.known && duration.kind === "epochs") return speed;
  const steps = duration.kind === "minutes" ? inTime(duration.minutes) : updatesOf(duration, batches.perEpoch, accumulate);
  if (steps === undefined) return speed;
  const trained = steps * accumulate;
  const seconds = duration.kind === "minutes" ? 60 * duration.minutes : trained * secondsPerBatch;
  return { steps, ...(batches.known ? { tokens: Math.round(trained * tokensPerBatch) } : {}), ...speed, seconds };
}

/** Bytes at the peak of a step. The total counts the program itself too, as it stands now. */
function memoryOf(
  checkpoint: Checkpoint,
  { model }: DescribedModel,
  layout: AdapterLayout,
  settings: PlanSettings,
  activations: number,
): PlanResult["memory"] {
  let weights = 0;
  for (const [name, shape] of model.weights) {
    weights += bytesOfWeight(checkpoint, name, shape);
  }
  // The trainables, their gradient, the best so far, the optimizer's running means, and the sum over a window of batches.
  const vectors = 3 + (settings.optimizer.kind === "adamw" ? 2 : 1) + (settings.accumulate > 1 ? 1 : 0);
  const adapter = 4 * layout.length * vectors;
  const total = weights + adapter + activations + process.memoryUsage().rss;
  return { weights, adapter, activations, total, available: process.availableMemory() };
}

/** What the engine maps: BF16 as it is stored, every other type as F32. */
function bytesOfWeight(checkpoint: Checkpoint, name: string, shape: readonly number[]): number {
  const count = shape.reduce((product, size) => product * size, 1);
  return checkpoint.tensors.get(name)?.type === "BF16" ? 2 * count : 4 * count;
}

function notesOf(data: RunData | undefined, memory: PlanResult["memory"]): string[] {
  const own = memory.total - memory.weights - memory.adapter - memory.activations;
  return [
    `Of the memory, ${Math.round(own / 1e6)} MB are the program itself. Weights are mapped from their file: the system can take their memory back when it is short.`,
    "The time is an estimate from a matrix product measured just now, and counts training alone, not measuring.",
    ...(data === undefined
      ? ["Without --data every example is taken to be as long as --max-length and learned whole: memory and time are the most that may be."]
      : data.notes),
  ];
}
