import type { Batch } from "../data/batch.js";
import { type Dimension, evaluate } from "../graph/dimension.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { BATCH, TOKENS } from "../models/parts/rows.js";
import { dropout } from "../ops/dropout.js";
import { extent, fixed } from "../ops/types.js";
import type { HostData } from "../runtime/engine.js";
import { fillUniforms, mix } from "./kernels/uniform-table.js";
import { SUPERVISED } from "./objectives/objective.js";

/** Uniforms that a step draws once; every layer reads a window of them, at its own offset. */
const TABLE_VALUES = 1 << 22;

const TABLE = "dropout:table";
const UNIFORMS = "uniforms";

/** What of a batch the sizes of dropped inputs follow from. */
export type DroppedBatch = Pick<Batch, "batch" | "tokens" | "targets">;

/**
 * Dropout of the adapter's inputs. The masks of a micro-batch follow from (seed, number of the micro-batch) alone, so a
 * resumed run draws the same ones.
 */
export class DropoutSource {
  readonly #rate: number;
  readonly #seed: number;
  readonly #sites: { readonly rows: Dimension; readonly width: number }[] = [];
  #memory = new Float32Array(TABLE_VALUES);
  #table = this.#memory;
  #key = 0;

  constructor(rate: number, seed: number) {
    this.#rate = rate;
    this.#seed = seed;
  }

  /** For a graph under construction: dropout with a window of its own at every call. */
  readonly regularise = (graph: Graph) => {
    const table = graph.input(TABLE, { dtype: "float32", shape: [UNIFORMS] });
    const bound = (name: string) => graph.input(name, { dtype: "int64", shape: [1] });
    return (x: Tensor): Tensor => {
      const site = this.#sites.push({ rows: extent(x.shape, 0), width: fixed("Dropout", extent(x.shape, 1)) }) - 1;
      return dropout(x, table, bound(startName(site)), bound(endName(site)), this.#rate);
    };
  };

  /**
   * Draws the uniforms of micro-batch `number`, counted from the start of the run. The length of the table follows from this
   * micro-batch alone: it decides where windows may begin, and a resumed run has not seen the micro-batches before.
   */
  draw(number: number, batch: DroppedBatch): void {
    const largest = Math.max(0, ...this.#lengths(batch));
    const length = largest > TABLE_VALUES ? largest + TABLE_VALUES : TABLE_VALUES;
    if (this.#memory.length < length) this.#memory = new Float32Array(length);
    this.#table = this.#memory.subarray(0, length);
    this.#key = mix(mix(this.#seed) + number);
    fillUniforms(this.#table, this.#key);
  }

  feeds(batch: DroppedBatch): Record<string, HostData> {
    const feeds: Record<string, HostData> = { [TABLE]: this.#table };
    for (const [site, length] of this.#lengths(batch).entries()) {
      const start = mix(this.#key + site + 1) % (this.#table.length - length + 1);
      feeds[startName(site)] = BigInt64Array.of(BigInt(start));
      feeds[endName(site)] = BigInt64Array.of(BigInt(start + length));
    }
    return feeds;
  }

  /** Values of each site's input in a batch: of all its tokens, or of its learned places. */
  #lengths({ batch, tokens, targets }: DroppedBatch): number[] {
    const bindings = new Map(Object.entries({ [BATCH]: batch, [TOKENS]: tokens, [SUPERVISED]: targets.length }));
    return this.#sites.map(({ rows, width }) => evaluate(rows, bindings) * width);
  }

  dimensions(): Record<string, number> {
    return { [UNIFORMS]: this.#table.length };
  }
}

function startName(site: number): string {
  return `dropout:${site}:start`;
}

function endName(site: number): string {
  return `dropout:${site}:end`;
}
