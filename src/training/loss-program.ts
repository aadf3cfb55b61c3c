import { type Batch, padSupervised } from "../data/batch.js";
import { type AdapterLayout, type LayoutEntry, viewOf } from "../lora/layout.js";
import type { LanguageModelGraph } from "../models/architecture.js";
import type { Engine, HostData } from "../runtime/engine.js";
import { type CompileOptions, Program } from "../runtime/program.js";
import { batchDimensions, batchFeeds } from "./gradient-program.js";
import { buildSequenceGraph } from "./sequence-graph.js";

export interface LossProgramOptions {
  readonly model: LanguageModelGraph;
  /** The adapter beside the model; without one the program is the base's. */
  readonly layout?: AdapterLayout | undefined;
  readonly maxTokens: number;
}

/** The forward pass alone: the loss of every supervised token of a batch, without dropout. */
export class LossProgram {
  readonly #program: Program;
  readonly #inputs: ReadonlyMap<string, LayoutEntry>;
  readonly #supervisedMultiple: number;

  private constructor(program: Program, inputs: ReadonlyMap<string, LayoutEntry>, supervisedMultiple: number) {
    this.#program = program;
    this.#supervisedMultiple = supervisedMultiple;
    this.#inputs = inputs;
  }

  static async compile(engine: Engine, options: LossProgramOptions, compile: CompileOptions): Promise<LossProgram> {
    const { graph, losses, adapter, supervisedMultiple } = buildSequenceGraph(options);
    graph.output("losses", losses);
    return new LossProgram(await Program.compile(graph, engine, compile), adapter?.inputs ?? new Map(), supervisedMultiple);
  }

  /** @returns the negative log-likelihood of each of the batch's supervised tokens, in nats; padding left out. */
  async run(given: Batch, trainables: Float32Array): Promise<Float32Array> {
    const batch = padSupervised(given, this.#supervisedMultiple);
    const feeds: Record<string, HostData> = batchFeeds(batch);
    for (const [name, entry] of this.#inputs) feeds[name] = viewOf(trainables, entry);
    const { losses } = await this.#program.run(feeds, batchDimensions(batch));
    if (!(losses?.data instanceof Float32Array)) throw new Error("the program returned no losses");
    return losses.data.subarray(0, batch.supervisedCount);
  }

  release(): Promise<void> {
    return this.#program.release();
  }
}

/**
 * Mean loss per supervised token over batches.
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
    for (const loss of losses) sum += loss;
    count += losses.length;
    await breathe();
  }
  return { loss: sum / count, count };
}
