import type { TaughtTokens } from "../../data/lesson.js";
import { mapped } from "../../data/series.js";
import { longestText } from "../../data/sizes.js";
import type { AdapterLayout } from "../../lora/layout.js";
import { HEAD_WEIGHT } from "../../models/architecture.js";
import type { Task } from "../../training/sequence-graph.js";
import { isMappedInPlace } from "../../weights/node/mapped-weights.js";
import type { PlanResult } from "../api.js";
import type { Precision, TrainSettings } from "../options.js";
import { int8Groups } from "./model-weights.js";
import type { DescribedModel } from "./open-model.js";
import { type BatchCosts, batchCosts, planBatches } from "./plan-batches.js";
import type { TaughtData } from "./run-data.js";

type Described = Task & Pick<DescribedModel, "checkpoint">;

/** What a run's memory depends on. */
export interface MemoryChoice
  extends Pick<TrainSettings, "batchSize" | "seed" | "maxLength" | "dropout" | "optimizer" | "accumulate" | "device"> {
  readonly precision: Precision;
  readonly gradientCheckpointing: boolean;
}

/**
 * The engine takes memory in pieces that double, and leaves gaps between values of unlike sizes. Bytes that it holds for each
 * that is in use, after a few steps: measured 1.1 to 1.4 (SmolLM2-135M, 1,024 to 4,096 tokens a batch, with and without
 * checkpoints, fp32 and int8).
 */
const ENGINE_SHARE = 1.22;
/** Bytes of a compiled program beside its weights and values: its nodes, and the plan of when they run. */
const PROGRAM_BYTES = 60e6;

/**
 * Estimates the memory of a run at its fullest moment.
 *
 * @param resident bytes that this process has already
 */
export function memoryOf(
  described: Described,
  layout: AdapterLayout,
  settings: MemoryChoice,
  costs: Pick<BatchCosts, "trainingBytes" | "measuringBytes">,
  resident: number = process.memoryUsage().rss,
): PlanResult["memory"] {
  const measures = costs.measuringBytes > 0;
  const programs = measures ? 2 : 1;
  // Each program maps the weights for itself. The pages are the same, but the system counts them for each.
  const measuring = measures ? weightBytes(described, layout, settings.precision, false) : 0;
  const weights = weightBytes(described, layout, settings.precision, true) + measuring;
  // The trainables, their gradient, what the engine's binding hands back of it once more (found with every weight trained: one such copy
  // is there after each step), the best so far, the optimizer's running means, and the sum over a window of batches.
  const vectors = 4 + (settings.optimizer.kind === "adamw" ? 2 : 1) + (settings.accumulate > 1 ? 1 : 0);
  const adapter = 4 * (layout.length * vectors + layout.frozenLength);
  const activations = Math.round(ENGINE_SHARE * (costs.trainingBytes + costs.measuringBytes));
  const own = resident + programs * PROGRAM_BYTES;
  const total = weights + adapter + activations + own;
  // Pages of weights are there once, and what this process has already is not asked for again.
  const needed = total - measuring - resident;
  return { weights, adapter, activations, own, total, needed, available: process.availableMemory() };
}

/**
 * Bytes of the weights that a program reads, as it maps them. Of a table that is no head, single rows are read: they are few. What is
 * trained whole is fed, and not mapped.
 */
function weightBytes({ model, checkpoint }: Described, { modules }: AdapterLayout, precision: Precision, backward: boolean): number {
  const trained = new Set(modules.flatMap(({ name, places = [name] }) => places));
  const head = trained.has(HEAD_WEIGHT) ? undefined : model.head;
  const layers = new Set(model.linearGroups.flat().map(({ name }) => `${name}.weight`));
  const rounded = new Set(int8Groups(model).flatMap(({ weights }) => weights));
  const inPlace = isMappedInPlace([...model.weights.keys()].flatMap((name) => checkpoint.tensors.get(name) ?? []));
  const bytesOf = (name: string, dimensions: number): number => {
    if (trained.has(name) || (dimensions > 1 && name !== head && !layers.has(name))) return 0;
    switch (precision) {
      case "fp32": // what need not be converted is mapped as it is stored, BF16 included; else all of it is F32
        return inPlace && checkpoint.tensors.get(name)?.type === "BF16" ? 2 : 4;
      case "int8": // codes for each direction
        return rounded.has(name) ? (backward ? 2 : 1) : 4;
      case "4bit": // a scale and a minimum for each 32; the head has 8 bits, and no minimum
        return layers.has(name) ? 1 / 2 + 8 / 32 : dimensions > 1 ? 1 + 4 / 32 : 4;
    }
  };
  let bytes = 0;
  for (const [name, shape] of model.weights) bytes += bytesOf(name, shape.length) * shape.reduce((product, size) => product * size, 1);
  return bytes;
}

/** How a run's blocks are computed, and why. */
export interface CheckpointingChoice {
  readonly gradientCheckpointing: boolean;
  /** What a person should know of a choice that was made for them. */
  readonly note: string | undefined;
}

/** `auto` takes gradient checkpointing where the run would not fit into the free memory without it. */
export function chooseCheckpointing(
  setting: TrainSettings["gradientCheckpointing"],
  needed: () => number,
  available: number = process.availableMemory(),
): CheckpointingChoice {
  if (setting !== "auto") return { gradientCheckpointing: setting === "on", note: undefined };
  const bytes = needed();
  if (bytes <= available) return { gradientCheckpointing: false, note: undefined };
  const gigabytes = (count: number) => `${(count / 1e9).toFixed(1)} GB`;
  return {
    gradientCheckpointing: true,
    note: `gradient checkpointing is on: without it the run would take ${gigabytes(bytes)}, and ${gigabytes(available)} are free`,
  };
}

/** The choice for a run whose data is read. */
export function checkpointingOf(
  described: Described,
  layout: AdapterLayout,
  settings: Omit<MemoryChoice, "gradientCheckpointing"> & Pick<TrainSettings, "gradientCheckpointing">,
  data: TaughtData | undefined,
): CheckpointingChoice {
  return chooseCheckpointing(settings.gradientCheckpointing, () => {
    const without = { ...settings, gradientCheckpointing: false };
    const costs = batchCosts(planBatches(described, settings, data), described, layout, without);
    return memoryOf(described, layout, without, costs).needed;
  });
}

/**
 * The total with each change that lowers the peak; most first. Fewer examples at a time are made up for by accumulation, but where a loss
 * is that of a whole batch.
 */
export function memoryChanges(
  described: Described,
  layout: AdapterLayout,
  choice: MemoryChoice,
  data: TaughtData | undefined,
  { resident, isInt8Exact }: { readonly resident: number; readonly isInt8Exact: boolean },
): PlanResult["changes"] {
  const memoryWith = (change: Partial<MemoryChoice>) => {
    const changed = { ...choice, ...change };
    const costs = batchCosts(planBatches(described, changed, data && shortened(data, changed.maxLength)), described, layout, changed);
    return memoryOf(described, layout, changed, costs, resident);
  };
  const { gradientCheckpointing, precision, device } = choice;
  const length = Math.ceil(Math.min(choice.maxLength, described.model.dimensions.maxPositions, longest(data)) / 2);
  const candidates: readonly (Change | undefined)[] = [
    gradientCheckpointing ? undefined : ["--gradient-checkpointing on", { gradientCheckpointing: true }],
    smallerBatch(described, choice),
    length < 16 ? undefined : [`--max-length ${length}`, { maxLength: length }],
    precision === "4bit" || device === "webgpu" ? undefined : ["--precision 4bit", { precision: "4bit" }],
    precision === "fp32" && device !== "webgpu" && isInt8Exact ? ["--precision int8", { precision: "int8" }] : undefined,
  ];
  const now = memoryWith({});
  return candidates
    .flatMap((candidate) => (candidate === undefined ? [] : [{ options: candidate[0], memory: memoryWith(candidate[1]) }]))
    .map(({ options, memory: { total, needed, available } }) => ({ options, total, fits: needed <= available }))
    .filter(({ total }) => total < now.total)
    .sort((a, b) => a.total - b.total);
}

/** Options as they are written, and what they change. */
type Change = readonly [string, Partial<MemoryChoice>];

function smallerBatch({ objective }: Described, { batchSize, accumulate }: MemoryChoice): Change | undefined {
  const half = Math.ceil(batchSize / 2);
  if (objective?.inBatch === true) return batchSize <= 2 ? undefined : [`--batch-size ${half}`, { batchSize: half }];
  if (batchSize === 1) return undefined;
  return [`--batch-size ${half} --accumulate ${2 * accumulate}`, { batchSize: half, accumulate: 2 * accumulate }];
}

function longest(data: TaughtData | undefined): number {
  if (data === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(longestText(data.train), longestText(data.validation));
}

/** Examples as a smaller --max-length would cut them. */
function shortened({ train, validation }: TaughtData, length: number): TaughtData {
  const within = (place: number) => Math.min(place, length - 1);
  const cut = (example: TaughtTokens): TaughtTokens => {
    const ids = example.ids.slice(0, length);
    if (!("places" in example)) return { ids, supervised: example.supervised.slice(0, length) };
    const { partner, places, targets, weights } = example;
    const other = partner && { ids: partner.ids.slice(0, length), place: within(partner.place) };
    return { ids, targets, weights, places: places.map(within), ...(other === undefined ? {} : { partner: other }) };
  };
  return { train: mapped(train, cut), validation: mapped(validation, cut) };
}
