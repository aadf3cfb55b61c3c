import type { Batch } from "../../src/data/batch.js";
import { type AdapterLayout, buildLayout } from "../../src/lora/layout.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { readLanguageModel } from "../../src/models/index.js";
import type { StoredWeight } from "../../src/runtime/emit.js";
import { Random } from "./random.js";

/** A tiny Llama with random weights in memory, an adapter with A and B random, and a padded batch: the same on every machine. */
export interface SeededLlama {
  readonly model: LanguageModelGraph;
  readonly weights: (name: string) => StoredWeight;
  readonly layout: AdapterLayout;
  readonly adapter: Float32Array<ArrayBuffer>;
  readonly batch: Batch;
}

/** Imports nothing of Node: the browser's page makes the same one. */
export function seededLlama({ blocks = 2, batch = 2, tokens = 6, hidden = 16, vocabulary = 64, seed = 5 } = {}): SeededLlama {
  const random = new Random(seed);
  const model = readLanguageModel({
    model_type: "llama",
    hidden_size: hidden,
    intermediate_size: 2 * hidden,
    num_hidden_layers: blocks,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: vocabulary,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  });
  const stored = new Map<string, StoredWeight>();
  for (const [name, shape] of model.weights) {
    const count = shape.reduce((product, extent) => product * extent, 1);
    const values = name.includes("norm") ? random.gaussians(count, 0.2, 1) : random.gaussians(count, 1 / Math.sqrt(hidden));
    stored.set(name, { dtype: "float32", shape, data: new Uint8Array(values.buffer) });
  }
  const layout = buildLayout(model.linearGroups.map((group) => group.map((layer) => ({ ...layer, rank: 2, scale: 2 }))));
  return {
    model,
    weights: (name) => {
      const weight = stored.get(name);
      if (weight === undefined) throw new Error(`the seeded model has no weight ${name}`);
      return weight;
    },
    layout,
    adapter: random.gaussians(layout.length, 0.3),
    batch: seededBatch(random, { batch, tokens, vocabulary }),
  };
}

/** Sequence b ends b tokens early; the second half of each is supervised. The last supervised row is padding, of weight 0. */
function seededBatch(random: Random, { batch, tokens, vocabulary }: { batch: number; tokens: number; vocabulary: number }): Batch {
  const cells = Array.from({ length: batch * tokens }, (_, at) => ({ b: Math.floor(at / tokens), t: at % tokens }));
  const real = ({ b, t }: { b: number; t: number }) => t < tokens - b;
  const ids = BigInt64Array.from(cells, (cell) => BigInt(real(cell) ? random.below(vocabulary) : 0));
  const rows = cells.flatMap(({ b, t }, at) => (t >= tokens / 2 - 1 && real({ b, t: t + 1 }) && t + 1 < tokens ? [at] : []));
  return {
    batch,
    tokens,
    ids,
    positions: BigInt64Array.from(cells, ({ t }) => BigInt(t)),
    segments: Float32Array.from(cells, (cell) => Number(real(cell))),
    supervisedRows: BigInt64Array.from([...rows, 0], BigInt),
    targets: BigInt64Array.from([...rows.map((row) => ids[row + 1] ?? 0n), 0n]),
    weights: Float32Array.from([...rows.map(() => 1), 0]),
    supervisedCount: rows.length,
    exampleTokens: cells.filter(real).length,
    longest: tokens,
  };
}
