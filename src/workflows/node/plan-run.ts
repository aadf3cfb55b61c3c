import { type AdapterLayout, buildLayout } from "../../lora/layout.js";
import { adaptGroups } from "../../lora/spec.js";
import type { LanguageModelGraph } from "../../models/architecture.js";
import type { Checkpoint } from "../../weights/checkpoint.js";
import type { PlanResult } from "../api.js";
import { inCode, type PlanSettings, type Precision, parseOptions, planSet } from "../options.js";
import { targetOf, trainingPrecision } from "./device.js";
import { int8Support } from "./int8-support.js";
import { int8Alone, int8Groups } from "./model-weights.js";
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
  const costs = batchCosts(batches, described, layout, { dropout: settings.dropout, precision });
  const speed = (await measureProductSpeed({ target, threads: settings.threads })) * STEP_EFFICIENCY;
  const speedup = precision === "int8" ? (await int8Support(settings.threads)).speedup : 1;
  const seconds = (costs.flops - costs.int8Flops + costs.int8Flops / speedup) / speed;
  const memory = memoryOf(described, layout, { ...settings, precision }, costs.activationBytes);
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
    ...lengthOf(settings, batches, seconds / batches.perEpoch),
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
  { model, checkpoint }: DescribedModel,
  layout: AdapterLayout,
  settings: PlanSettings & { readonly precision: Precision },
  activations: number,
): PlanResult["memory"] {
  let weights = 0;
  const bytesOf = settings.precision === "int8" ? bytesInInt8(model) : (name: string) => bytesOfWeight(checkpoint, name);
  for (const [name, shape] of model.weights) weights += bytesOf(name) * shape.reduce((product, size) => product * size, 1);
  // The trainables, their gradient, the best so far, the optimizer's running means, and the sum over a window of batches.
  const vectors = 3 + (settings.optimizer.kind === "adamw" ? 2 : 1) + (settings.accumulate > 1 ? 1 : 0);
  const adapter = 4 * layout.length * vectors;
  const total = weights + adapter + activations + process.memoryUsage().rss;
  return { weights, adapter, activations, total, available: process.availableMemory() };
}

/** Bytes of a value as the engine maps it: BF16 as it is stored, every other type as F32. */
function bytesOfWeight(checkpoint: Checkpoint, name: string): number {
  return checkpoint.tensors.get(name)?.type === "BF16" ? 2 : 4;
}

/** One byte of codes for each direction; what is read in floating point, too or alone, as F32. */
function bytesInInt8(model: LanguageModelGraph): (name: string) => number {
  const rounded = new Set(int8Groups(model).flatMap(({ weights }) => weights));
  const alone = int8Alone(model);
  return (name) => (rounded.has(name) ? 2 : 0) + (alone.has(name) ? 0 : 4);
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
