import { type Batch, padSupervised } from "../data/batch.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { keepsCheckpoints, keepsProducts } from "../graph/recomputation.js";
import type { AdapterLayout, LayoutEntry } from "../lora/layout.js";
import { viewOf } from "../lora/layout.js";
import type { LanguageModelGraph } from "../models/architecture.js";
import { gradients } from "../ops/gradients.js";
import { weightedSum } from "../ops/weighted-sum.js";
import type { Engine, HostData } from "../runtime/engine.js";
import { type CompileOptions, Program } from "../runtime/program.js";
import type { DropoutSource } from "./dropout-source.js";
import { buildSequenceGraph, SUPERVISED } from "./sequence-graph.js";

/** Summed over the supervised tokens of a batch; a mean is the accumulation window's business. */
export interface BatchGradient {
  readonly loss: number;
  readonly count: number;
}

export interface GradientProgramOptions {
  readonly model: LanguageModelGraph;
  readonly layout: AdapterLayout;
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
  readonly #dropout: DropoutSource | undefined;
  readonly #supervisedMultiple: number;

  private constructor(program: Program, { inputs, supervisedMultiple }: GradientGraph, dropout: DropoutSource | undefined) {
    this.#program = program;
    this.#inputs = inputs;
    this.#supervisedMultiple = supervisedMultiple;
    this.#dropout = dropout;
  }

  static async compile(engine: Engine, options: GradientProgramOptions, compile: CompileOptions): Promise<GradientProgram> {
    const built = buildGradientGraph(options);
    return new GradientProgram(await Program.compile(built.graph, engine, compile), built, options.dropout);
  }

  /**
   * @param trainables the adapter's flat vector
   * @param gradient memory of the same length, overwritten with the gradient of the summed loss
   */
  async run(given: Batch, trainables: Float32Array, gradient: Float32Array): Promise<BatchGradient> {
    const batch = padSupervised(given, this.#supervisedMultiple);
    const feeds: Record<string, HostData> = { ...batchFeeds(batch), weights: batch.weights, ...this.#dropout?.feeds(batch) };
    const into: Record<string, Float32Array> = {};
    for (const [name, entry] of this.#inputs) {
      feeds[name] = viewOf(trainables, entry);
      into[gradientName(name)] = viewOf(gradient, entry);
    }
    const dimensions = { ...batchDimensions(batch), ...this.#dropout?.dimensions() };
    const { loss } = await this.#program.run(feeds, dimensions, into);
    return { loss: Number(loss?.data[0]), count: batch.supervisedCount };
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
  readonly supervisedMultiple: number;
}

/** The graph of a training step: outputs `loss`, the summed loss, and a gradient for each matrix of the adapter. */
export function buildGradientGraph(options: GradientProgramOptions): GradientGraph {
  const { graph, losses, adapter, supervisedMultiple } = buildSequenceGraph({
    ...options,
    differentiable: true,
    regularise: options.dropout?.regularise,
  });
  if (adapter === undefined) throw new Error("a gradient program needs an adapter to train");
  const loss = weightedSum(losses, graph.input("weights", { dtype: "float32", shape: [SUPERVISED] }));
  const names = [...adapter.inputs.keys()];
  const trainables = names.map((name) => required(graph, name));
  const keeps = options.gradientCheckpointing ? keepsCheckpoints(graph) : keepsProducts;
  for (const [index, gradient] of gradients(loss, trainables, keeps).entries()) graph.output(gradientName(names[index] ?? ""), gradient);
  graph.output("loss", loss);
  return { graph, inputs: adapter.inputs, supervisedMultiple };
}

function gradientName(input: string): string {
  return `gradient:${input}`;
}

/** What every program over whole sequences is fed of a batch. */
export function batchFeeds(batch: Batch): Record<string, HostData> {
  const { ids, positions, segments, supervisedRows: rows, targets, tokens } = batch;
  return { ids, positions, segments, rows, targets, order: Float32Array.from({ length: tokens }, (_, index) => index) };
}

export function batchDimensions({ batch, tokens, targets }: Batch): Record<string, number> {
  return { batch, tokens, supervised: targets.length };
}

function required(graph: Graph, name: string): Tensor {
  const tensor = graph.inputs.get(name);
  if (tensor === undefined) throw new Error(`the graph has no input "${name}"`);
  return tensor;
}
