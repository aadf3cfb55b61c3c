import { type BatchShape, batchShape, epochPlan, shapeOf } from "../../data/batch.js";
import { lessonOf, type TaughtTokens, textsOf, tokensOf } from "../../data/lesson.js";
import { pick, type Series } from "../../data/series.js";
import { lengthsOf, mostPlaces, sizesOf } from "../../data/sizes.js";
import type { AdapterLayout } from "../../lora/layout.js";
import type { ModelGraph } from "../../models/architecture.js";
import { finerAttentionChunks } from "../../ops/attention.js";
import { SLICE_BYTES } from "../../ops/table.js";
import { DropoutSource } from "../../training/dropout-source.js";
import { buildGradientGraph } from "../../training/gradient-program.js";
import { buildSequenceGraph, sequenceDimensions, type Task } from "../../training/sequence-graph.js";
import { type StepWeights, stepCost } from "../../training/step-cost.js";
import type { PlanSettings, Precision, TrainSettings } from "../options.js";
import { int8Groups } from "./model-weights.js";
import type { DescribedModel } from "./open-model.js";
import type { TaughtData } from "./run-data.js";

/** The batches of one epoch. */
export interface RunBatches {
  /** Whether they follow from data; else one batch of the longest examples stands for all. */
  readonly known: boolean;
  readonly perEpoch: number;
  readonly tokensPerEpoch: number;
  /** How many batches of each shape. */
  readonly shapes: ReadonlyMap<string, { readonly shape: BatchShape; readonly count: number }>;
  /** No batch of training has more learned tokens. */
  readonly maxSupervised: number;
  /** The largest batch that measures during training. */
  readonly validation: BatchShape | undefined;
}

/** The batches that a run would take, by the rules of training. */
export function planBatches(
  task: Task,
  settings: Pick<PlanSettings, "batchSize" | "seed" | "maxLength">,
  data: TaughtData | undefined,
): RunBatches {
  const { batchSize, seed, maxLength } = settings;
  if (data === undefined) {
    const whole = longestOf(task, Math.min(maxLength, task.model.dimensions.maxPositions));
    const together = new Array<TaughtTokens>(batchSize).fill(whole);
    return {
      known: false,
      perEpoch: 1,
      tokensPerEpoch: batchSize * tokensOf(whole),
      shapes: tally([batchShape(together)]),
      maxSupervised: batchSize * lessonOf(whole).places.length,
      validation: measuredShape(together, batchSize),
    };
  }
  const lengths = lengthsOf(data.train);
  const sizes = sizesOf(data.train);
  const plan = epochPlan(lengths, batchSize, seed, 0);
  return {
    known: true,
    perEpoch: plan.length,
    tokensPerEpoch: lengths.reduce((sum, length) => sum + length, 0),
    shapes: tally(plan.map((indexes) => shapeOf(sizes, indexes))),
    maxSupervised: batchSize * mostPlaces(data.train),
    validation: data.validation.length === 0 ? undefined : measuredShape(data.validation, batchSize),
  };
}

/** An example of a task that is as long as may be: learned whole, or a pair. */
function longestOf({ objective }: Task, length: number): TaughtTokens {
  const ids = new Int32Array(length);
  if (objective?.inBatch !== true) return { ids, supervised: new Uint8Array(length).fill(1) };
  return { ids, places: Int32Array.of(0), targets: Int32Array.of(0), weights: Float32Array.of(1), partner: { ids, place: 0 } };
}

/** The largest batch of texts that are measured together. */
function measuredShape(examples: Series<TaughtTokens>, batchSize: number): BatchShape {
  const { tokens, partner } = sizesOf(examples);
  const longest = (index: number) => Math.max(tokens[index] ?? 0, partner[index] ?? 0);
  // The longest texts are among those of as many examples with the longest text.
  const order = Array.from(tokens.keys()).sort((a, b) => longest(b) - longest(a));
  const some = pick(
    examples,
    order.slice(0, batchSize).sort((a, b) => a - b),
  );
  const texts = some.flatMap(textsOf).sort((a, b) => b.ids.length - a.ids.length);
  return batchShape(texts.slice(0, batchSize));
}

function tally(shapes: readonly BatchShape[]): RunBatches["shapes"] {
  const counts = new Map<string, { shape: BatchShape; count: number }>();
  for (const shape of shapes) {
    const key = `${shape.batch}×${shape.tokens}/${shape.supervised}`;
    counts.set(key, { shape, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return counts;
}

/** How the batches of a run are computed. */
export interface BatchChoice extends Pick<TrainSettings, "dropout"> {
  readonly precision: Precision;
  readonly gradientCheckpointing: boolean;
}

/** What the batches of a run cost. */
export interface BatchCosts {
  /** Multiplications and additions of one epoch. */
  readonly flops: number;
  /** Those with weights in int8. */
  readonly int8Flops: number;
  /** Bytes of float32 that weights are brought to, each time that one is read. */
  readonly copiedBytes: number;
  /** Bytes of all values that are written on the way. */
  readonly writtenBytes: number;
  /** Bytes of activations of the fullest batch that is trained on, what dropout draws included. */
  readonly trainingBytes: number;
  /** Those of the program that measures, which the engine keeps beside; 0 where nothing is measured. */
  readonly measuringBytes: number;
}

/** Estimates the cost of one epoch. */
export function batchCosts(
  { shapes, validation, maxSupervised }: RunBatches,
  { checkpoint, ...task }: Task & Pick<DescribedModel, "checkpoint">,
  layout: AdapterLayout,
  { dropout: dropoutRate, precision, gradientCheckpointing }: BatchChoice,
): BatchCosts {
  const measured = validation === undefined ? [] : [{ shape: validation }];
  const maxTokens = Math.max(...[...shapes.values(), ...measured].map(({ shape }) => shape.tokens));
  const dropout = dropoutRate > 0 ? new DropoutSource(dropoutRate, 0) : undefined;
  const { graph } = buildGradientGraph({ ...task, layout, maxTokens, maxSupervised, dropout, gradientCheckpointing });
  const queryChunks = finerAttentionChunks(maxTokens);
  const inInt8 = new Set(precision === "int8" ? int8Groups(task.model).flatMap(({ weights }) => weights) : []);
  const weights: StepWeights = { isFaster: (name) => inInt8.has(name), copyBytes: copyBytes(task.model, checkpoint, precision) };
  let flops = 0;
  let int8Flops = 0;
  let copiedBytes = 0;
  let writtenBytes = 0;
  let fullest = 0;
  for (const { shape, count } of shapes.values()) {
    const cost = stepCost(graph, { ...sequenceDimensions(shape, queryChunks), ...dropout?.dimensions() }, weights);
    flops += count * cost.flops;
    int8Flops += count * cost.fasterFlops;
    copiedBytes += count * cost.copiedBytes;
    writtenBytes += count * cost.writtenBytes;
    fullest = Math.max(fullest, cost.activationBytes);
  }
  const table = Object.values(dropout?.dimensions() ?? {}).reduce((sum, values) => sum + 4 * values, 0);
  const measuring = validation === undefined ? 0 : measuringBytes(task, layout, maxTokens, validation, weights);
  return { flops, int8Flops, copiedBytes, writtenBytes, trainingBytes: fullest + table, measuringBytes: measuring };
}

/** Bytes of the float32 copy of a weight that a product makes for itself: of BF16, and of blocks of few bits. */
function copyBytes(
  { weights, linearGroups, head }: ModelGraph,
  { tensors }: DescribedModel["checkpoint"],
  precision: Precision,
): NonNullable<StepWeights["copyBytes"]> {
  const layers = new Set(linearGroups.flat().map(({ name }) => `${name}.weight`));
  return (name) => {
    const bytes = 4 * (weights.get(name) ?? []).reduce((product, size) => product * size, 1);
    if (precision === "4bit") return layers.has(name) ? bytes : name === head ? Math.min(bytes, SLICE_BYTES) : 0;
    return precision === "fp32" && tensors.get(name)?.type === "BF16" ? bytes : 0;
  };
}

/** The engine keeps the memory of the measuring program beside that of the training program. */
function measuringBytes(task: Task, layout: AdapterLayout, maxTokens: number, shape: BatchShape, weights: StepWeights): number {
  const queryChunks = finerAttentionChunks(maxTokens);
  const { graph, losses } = buildSequenceGraph({ ...task, layout, maxTokens, queryChunks });
  graph.output("losses", losses);
  return stepCost(graph, sequenceDimensions(shape, queryChunks), weights).activationBytes;
}
