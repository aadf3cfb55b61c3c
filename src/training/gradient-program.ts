import { type Batch, weightOf } from "../data/batch.js";
import { type BatchMultiples, padBatch } from "../data/pad-batch.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { keepsCheckpoints, keepsProducts } from "../graph/recomputation.js";
import type { AdapterLayout, LayoutEntry } from "../lora/layout.js";
import { viewOf } from "../lora/layout.js";
import type { ModelGraph } from "../models/architecture.js";
import { positionOffset } from "../models/parts/position-offset.js";
import { finerAttentionChunks } from "../ops/attention.js";
import { gradients } from "../ops/gradients.js";
import { weightedSum } from "../ops/weighted-sum.js";
import type { Engine, HostData } from "../runtime/engine.js";
import { type CompileOptions, Program } from "../runtime/program.js";
import type { DropoutSource } from "./dropout-source.js";
import { type Objective, SUPERVISED } from "./objectives/objective.js";
import { buildSequenceGraph, objectiveOf, type Task } from "./sequence-graph.js";

/** Summed over the learned places of a batch; a mean is the accumulation window's business. */
export interface BatchGradient {
  readonly loss: number;
  /** What the sum is divided by: the sum of the places' weights. */
  readonly count: number;
}

export type GradientProgramOptions = Task & GradientProgramShape;

interface GradientProgramShape {
  readonly layout: AdapterLayout;
  /** What the adapter started with and keeps; see `AdapterLayout.frozenLength`. */
  readonly frozen?: Float32Array | undefined;
  readonly maxTokens: number;
  readonly maxSupervised?: number | undefined;
  readonly dropout?: DropoutSource | undefined;
  /** Keep only the inputs of blocks for the backward pass, which computes each block again: less memory, more time. */
  readonly gradientCheckpointing?: boolean | undefined;
}

/** A batch and the trainables → the summed loss and the gradients of the trainables. */
export class GradientProgram {
  readonly #program: Program;
  readonly #inputs: ReadonlyMap<string, LayoutEntry>;
  /** Fed with every batch: what the adapter keeps of its start. */
  readonly #kept: Record<string, HostData>;
  readonly #dropout: DropoutSource | undefined;
  readonly #multiples: BatchMultiples;
  readonly #model: ModelGraph;
  readonly #objective: Objective;

  private constructor(program: Program, { inputs, frozenInputs, multiples }: GradientGraph, options: GradientProgramOptions) {
    const { dropout, frozen } = options;
    this.#program = program;
    this.#kept = frozenFeeds(frozenInputs, frozen);
    this.#model = options.model;
    this.#objective = objectiveOf(options);
    this.#inputs = inputs;
    this.#multiples = multiples;
    this.#dropout = dropout;
  }

  static async compile(engine: Engine, options: GradientProgramOptions, compile: CompileOptions): Promise<GradientProgram> {
    const built = buildGradientGraph(options);
    return new GradientProgram(await Program.compile(built.graph, engine, compile), built, options);
  }

  /**
   * @param trainables the adapter's flat vector
   * @param gradient memory of the same length, overwritten with the gradient of the summed loss
   */
  async run(given: Batch, trainables: Float32Array, gradient: Float32Array): Promise<BatchGradient> {
    const batch = padBatch(given, this.#multiples);
    const feeds: Record<string, HostData> = {
      ...sequenceFeeds(batch, this.#model),
      ...this.#objective.feeds(batch),
      weights: batch.weights,
      ...this.#kept,
      ...this.#dropout?.feeds(batch),
    };
    const into: Record<string, Float32Array> = {};
    for (const [name, entry] of this.#inputs) {
      feeds[name] = viewOf(trainables, entry);
      into[gradientName(name)] = viewOf(gradient, entry);
    }
    const dimensions = { ...batchDimensions(batch), ...this.#dropout?.dimensions() };
    const { loss } = await this.#program.run(feeds, dimensions, into);
    return { loss: Number(loss?.data[0]), count: weightOf(batch) };
  }

  endProfiling(): void {
    this.#program.endProfiling();
  }

  release(): Promise<void> {
    return this.#program.release();
  }
}

interface GradientGraph {
  readonly graph: Graph;
  readonly inputs: ReadonlyMap<string, LayoutEntry>;
  readonly frozenInputs: ReadonlyMap<string, LayoutEntry>;
  readonly multiples: BatchMultiples;
}

/** The graph of a training step: outputs `loss`, the summed loss, and a gradient for each trainable tensor. */
export function buildGradientGraph(options: GradientProgramOptions): GradientGraph {
  const {
    graph,
    losses,
    trainables: inputs,
    adapter,
    queryChunks,
    supervisedMultiple,
  } = buildSequenceGraph({
    ...options,
    queryChunks: finerAttentionChunks(options.maxTokens),
    differentiable: true,
    regularise: options.dropout?.regularise,
  });
  if (inputs.size === 0) throw new Error("a gradient program needs something to train");
  const loss = weightedSum(losses, graph.input("weights", { dtype: "float32", shape: [SUPERVISED] }));
  const names = [...inputs.keys()];
  const trainables = names.map((name) => required(graph, name));
  const keeps = options.gradientCheckpointing ? keepsCheckpoints(graph) : keepsProducts;
  for (const [index, gradient] of gradients(loss, trainables, keeps).entries()) graph.output(gradientName(names[index] ?? ""), gradient);
  graph.output("loss", loss);
  return {
    graph,
    inputs,
    frozenInputs: adapter?.frozenInputs ?? new Map(),
    multiples: { tokens: queryChunks, supervised: supervisedMultiple },
  };
}

function gradientName(input: string): string {
  return `gradient:${input}`;
}

/** What a program is fed of an adapter beside the trainables. */
export function frozenFeeds(inputs: ReadonlyMap<string, LayoutEntry>, frozen: Float32Array = new Float32Array()): Record<string, HostData> {
  return Object.fromEntries([...inputs].map(([name, entry]) => [name, viewOf(frozen, entry)]));
}

/** What every program over whole sequences is fed of a batch, beside what its objective reads. */
export function sequenceFeeds(batch: Batch, { dimensions }: Pick<ModelGraph, "dimensions">): Record<string, HostData> {
  const { ids, segments, supervisedRows: rows, tokens, tokenTypes = new BigInt64Array(ids.length) } = batch;
  const offset = BigInt(positionOffset(dimensions, batch.longest));
  const positions = batch.positions.map((position) => position + offset);
  return { ids, positions, tokenTypes, segments, rows, order: Float32Array.from({ length: tokens }, (_, index) => index) };
}

/** What a program that predicts the next token is fed of a batch. */
export function batchFeeds(batch: Batch, model: Pick<ModelGraph, "dimensions">): Record<string, HostData> {
  return { ...sequenceFeeds(batch, model), targets: batch.targets };
}

export function batchDimensions({ batch, tokens, targets }: Batch): Record<string, number> {
  return { batch, tokens, supervised: targets.length };
}

function required(graph: Graph, name: string): Tensor {
  const tensor = graph.inputs.get(name);
  if (tensor === undefined) throw new Error(`the graph has no input "${name}"`);
  return tensor;
}
