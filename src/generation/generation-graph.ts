import { Graph, type Tensor } from "../graph/graph.js";
import { type AttachedAdapter, attachAdapter } from "../lora/attach.js";
import type { AdapterLayout } from "../lora/layout.js";
import type { LanguageModelGraph, LinearLayer } from "../models/architecture.js";
import { plainLinear } from "../models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../models/parts/rows.js";
import { cachedAttention } from "../ops/cached-attention.js";
import { frozenLinear } from "../ops/frozen-linear.js";
import { gatherRows } from "../ops/gather-rows.js";

/** Symbol of the rows of the key-value cache. */
const PAST = "past";
/** Symbol of all that a token may see: the rows of the cache and the new tokens. */
const SEEN = "seen";

export interface GenerationGraphOptions {
  readonly model: LanguageModelGraph;
  readonly layout?: AdapterLayout | undefined;
  /** Most tokens of prompt and answer together. */
  readonly maxPositions: number;
}

/**
 * Writes prefill and decode as one graph: new tokens [B, T] after P rows of a cache. Inputs: `ids` int64 [B·T],
 * `positions` int64 [B, T], `last` int64 [B] (the row of [B·T] whose successor is wanted), `bias` [B, 1, T, P + T] (0 where a
 * new token sees a row of the cache or a new token, else masked), and `past.i.key` and `past.i.value` [P, B, K, D] of each
 * block. Outputs: `logits` [B, V], and the new rows `new.i.key`, `new.i.value` [B, T, K·D]. The cache itself never leaves the
 * host.
 */
export function buildGenerationGraph({ model, layout, maxPositions }: GenerationGraphOptions): {
  graph: Graph;
  adapter: AttachedAdapter | undefined;
} {
  const graph = new Graph();
  const { vocabulary, hidden: columns, heads, kvHeads, headSize } = model.dimensions;
  const last = graph.input("last", { dtype: "int64", shape: [BATCH] });
  const bias = graph.input("bias", { dtype: "float32", shape: [BATCH, 1, TOKENS, SEEN] });
  const past = (block: number, kind: "key" | "value") =>
    graph.input(`past.${block}.${kind}`, { dtype: "float32", shape: [PAST, BATCH, kvHeads, headSize] });

  const weight = (name: string, shape: readonly number[]) => graph.weight(name, shape);
  const base = (x: Tensor, { name, inputs, outputs }: LinearLayer) => frozenLinear(x, weight(`${name}.weight`, [outputs, inputs]));
  const adapter = layout === undefined ? undefined : attachAdapter(graph, layout, base);
  const hidden = model.hidden({
    graph,
    ids: graph.input("ids", { dtype: "int64", shape: [ROWS] }),
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions,
    weight,
    linear: adapter?.linear ?? plainLinear(base),
    attend: (q, k, v, block) => {
      graph.output(`new.${block}.key`, k);
      graph.output(`new.${block}.value`, v);
      const inputs = { q, k, v, bias, pastKeys: past(block, "key"), pastValues: past(block, "value") };
      return cachedAttention(inputs, { heads, kvHeads, scale: 1 / Math.sqrt(headSize) });
    },
  }); // [N, C]
  graph.output("logits", frozenLinear(gatherRows(hidden, last), weight(model.head, [vocabulary, columns]))); // [B, V]
  return { graph, adapter };
}
