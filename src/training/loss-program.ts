import { type Batch, weightOf } from "../data/batch.js";
import { type BatchMultiples, padBatch } from "../data/pad-batch.js";
import { type AdapterLayout, type LayoutEntry, viewOf } from "../lora/layout.js";
import type { ModelGraph } from "../models/architecture.js";
import { finerAttentionChunks } from "../ops/attention.js";
import type { Engine, HostData } from "../runtime/engine.js";
import { type CompileOptions, Program } from "../runtime/program.js";
import { batchDimensions, frozenFeeds, sequenceFeeds } from "./gradient-program.js";
import type { Objective } from "./objectives/objective.js";
import { buildSequenceGraph, objectiveOf, type SequenceGraph, type Task } from "./sequence-graph.js";

export type LossProgramOptions = Task & {
  /** The adapter beside the model; without one the program is the base's. */
  readonly layout?: AdapterLayout | undefined;
  /** What the adapter started with and keeps; see `AdapterLayout.frozenLength`. */
  readonly frozen?: Float32Array | undefined;
  readonly maxTokens: number;
};

/** What a model says of the learned places of a batch; padding left out. */
export interface Predictions {
  readonly losses: Float32Array; // [S]
  readonly outputs: Float32Array; // [S, K], row-major
  /** K. */
  readonly columns: number;
}

/** The forward pass alone: the loss at every learned place of a batch, without dropout. */
export class LossProgram {
  readonly #program: Program;
  readonly #inputs: ReadonlyMap<string, LayoutEntry>;
  readonly #multiples: BatchMultiples;
  readonly #model: ModelGraph;
  readonly #objective: Objective;
  readonly #kept: Record<string, HostData>;

  private constructor(
    program: Program,
    { trainables, adapter, queryChunks, supervisedMultiple }: SequenceGraph,
    options: LossProgramOptions,
  ) {
    this.#program = program;
    this.#multiples = { tokens: queryChunks, supervised: supervisedMultiple };
    this.#inputs = trainables;
    this.#model = options.model;
    this.#objective = objectiveOf(options);
    this.#kept = frozenFeeds(adapter?.frozenInputs ?? new Map(), options.frozen);
  }

  static async compile(engine: Engine, options: LossProgramOptions, compile: CompileOptions): Promise<LossProgram> {
    const built = buildSequenceGraph({ ...options, queryChunks: finerAttentionChunks(options.maxTokens) });
    const { graph, losses, outputs } = built;
    graph.output("losses", losses);
    if (outputs !== undefined) graph.output("outputs", outputs);
    return new LossProgram(await Program.compile(graph, engine, compile), built, options);
  }

  /** @returns the loss at each of the batch's learned places, such as a token's negative log-likelihood in nats; padding left out. */
  async run(batch: Batch, trainables: Float32Array): Promise<Float32Array> {
    const { losses } = await this.#run(batch, trainables);
    return required(losses).subarray(0, batch.supervisedCount);
  }

  /** The losses and what the model says at each place, for an objective whose outputs leave the engine. */
  async predict(batch: Batch, trainables: Float32Array): Promise<Predictions> {
    const found = await this.#run(batch, trainables);
    const [losses, outputs] = [required(found.losses), required(found.outputs)];
    const columns = outputs.length / padBatch(batch, this.#multiples).targets.length;
    const { supervisedCount } = batch;
    return { losses: losses.subarray(0, supervisedCount), outputs: outputs.subarray(0, supervisedCount * columns), columns };
  }

  async #run(given: Batch, trainables: Float32Array) {
    const batch = padBatch(given, this.#multiples);
    const feeds: Record<string, HostData> = { ...sequenceFeeds(batch, this.#model), ...this.#objective.feeds(batch), ...this.#kept };
    for (const [name, entry] of this.#inputs) feeds[name] = viewOf(trainables, entry);
    const { losses, outputs } = await this.#program.run(feeds, batchDimensions(batch));
    return { losses: losses?.data, outputs: outputs?.data };
  }

  release(): Promise<void> {
    return this.#program.release();
  }
}

function required(data: HostData | undefined): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new Error("the program returned no such values");
}

/**
 * Mean loss over the learned places of batches, each counted by its weight.
 *
 * @param breathe lets other work of the thread happen between batches
 */
export async function meanLoss(
  program: LossProgram,
  batches: Iterable<Batch>,
  trainables: Float32Array,
  breathe: () => Promise<void>,
): Promise<{ loss: number; count: number }> {
  let sum = 0;
  let count = 0;
  for (const batch of batches) {
    const losses = await program.run(batch, trainables);
    losses.forEach((loss, place) => {
      sum += loss * (batch.weights[place] ?? 0);
    });
    count += weightOf(batch);
    await breathe();
  }
  return { loss: sum / count, count };
}
