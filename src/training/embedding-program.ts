import type { Batch } from "../data/batch.js";
import { type AdapterLayout, type LayoutEntry, viewOf } from "../lora/layout.js";
import type { ModelGraph } from "../models/architecture.js";
import { ROWS } from "../models/parts/rows.js";
import { l2Normalise } from "../ops/l2-normalise.js";
import { poolRows } from "../ops/pool-rows.js";
import type { Engine, HostData } from "../runtime/engine.js";
import { type CompileOptions, Program } from "../runtime/program.js";
import { batchDimensions, sequenceFeeds } from "./gradient-program.js";
import { type Pooling, sharesOf } from "./objectives/embedding-pairs.js";
import { hiddenStates } from "./objectives/hidden-states.js";
import { SUPERVISED } from "./objectives/objective.js";
import { buildSequenceGraph } from "./sequence-graph.js";

export type { Pooling };

/** How a model turns texts into vectors. */
export interface Embedding {
  readonly pooling: Pooling;
  /** Vectors have length one, so that a dot product is a cosine. */
  readonly normalised: boolean;
}

export interface EmbeddingProgramOptions {
  readonly model: ModelGraph;
  readonly embedding: Embedding;
  /** The adapter beside the model. */
  readonly adapter?: { readonly layout: AdapterLayout; readonly vector: Float32Array } | undefined;
  readonly maxTokens: number;
}

/** Texts to vectors (Reimers & Gurevych 2019, "Sentence-BERT", section 3). */
export class EmbeddingProgram {
  readonly #program: Program;
  readonly #options: EmbeddingProgramOptions;
  readonly #inputs: ReadonlyMap<string, LayoutEntry>;

  private constructor(program: Program, options: EmbeddingProgramOptions, inputs: ReadonlyMap<string, LayoutEntry>) {
    this.#program = program;
    this.#options = options;
    this.#inputs = inputs;
  }

  static async compile(engine: Engine, options: EmbeddingProgramOptions, compile: CompileOptions): Promise<EmbeddingProgram> {
    const { model, embedding, adapter, maxTokens } = options;
    const { graph, hidden, trainables } = buildSequenceGraph({ model, objective: hiddenStates, layout: adapter?.layout, maxTokens });
    const pooled = poolRows(hidden, graph.input("shares", { dtype: "float32", shape: [SUPERVISED, ROWS] })); // [S, C]
    graph.output("vectors", embedding.normalised ? l2Normalise(pooled) : pooled);
    return new EmbeddingProgram(await Program.compile(graph, engine, compile), options, trainables);
  }

  /** @returns a vector for each text of a batch, whose one place is the token that is read, or any for a mean: [texts, C], row-major. */
  async run(batch: Batch): Promise<Float32Array> {
    const { model, embedding, adapter } = this.#options;
    const shares = sharesOf(batch, embedding.pooling);
    const feeds: Record<string, HostData> = { ...sequenceFeeds(batch, model), shares };
    for (const [name, entry] of this.#inputs) feeds[name] = viewOf(adapter?.vector ?? new Float32Array(), entry);
    const { vectors } = await this.#program.run(feeds, batchDimensions(batch));
    if (!(vectors?.data instanceof Float32Array)) throw new Error("the program returned no vectors");
    return vectors.data.subarray(0, (vectors.data.length / batch.supervisedRows.length) * batch.supervisedCount);
  }

  release(): Promise<void> {
    return this.#program.release();
  }
}
