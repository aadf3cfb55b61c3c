import { Graph, type Tensor } from "../graph/graph.js";
import { type AttachedAdapter, attachAdapter } from "../lora/attach.js";
import type { AdapterLayout } from "../lora/layout.js";
import type { LanguageModelGraph, LinearLayer } from "../models/architecture.js";
import { plainLinear } from "../models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../models/parts/rows.js";
import { attentionBias } from "../ops/attention-bias.js";
import { cachedAttention } from "../ops/cached-attention.js";
import { frozenLinear } from "../ops/frozen-linear.js";
import { gatherRows } from "../ops/gather-rows.js";

/** Symbol of the capacity of the key-value cache. */
export const PAST = "past";

export interface GenerationGraphOptions {
  readonly model: LanguageModelGraph;
  readonly layout?: AdapterLayout | undefined;
  /** Most tokens of prompt and answer together. */
  readonly maxPositions: number;
}

/**
 * Writes prefill and decode as one graph: new tokens [B, T] after a cache of capacity P. Inputs: `ids` int64 [B·T],
 * `positions` int64 [B, T], `segments` [B, T] and `order` [T] as in training, `last` int64 [B] (the row of [B·T] whose
 * successor is wanted), `pastBias` [B, 1, 1, P] (0 where the cache holds a token, else masked), and `past.i.key` and
 * `past.i.value` [B, K, P, D] of each block. Outputs: `logits` [B, V], and the new rows `new.i.key`, `new.i.value`
 * [B, K, T, D]. The cache itself never leaves the host.
 */
export function buildGenerationGraph({ model, layout, maxPositions }: GenerationGraphOptions): {
  graph: Graph;
  adapter: AttachedAdapter | undefined;
} {
  const graph = new Graph();
  const { vocabulary, hidden: columns, heads, kvHeads, headSize } = model.dimensions;
  const segments = graph.input("segments", { dtype: "float32", shape: [BATCH, TOKENS] });
  const order = graph.input("order", { dtype: "float32", shape: [TOKENS] });
  const last = graph.input("last", { dtype: "int64", shape: [BATCH] });
  const pastBias = graph.input("pastBias", { dtype: "float32", shape: [BATCH, 1, 1, PAST] });
  const past = (block: number, kind: "key" | "value") =>
    graph.input(`past.${block}.${kind}`, { dtype: "float32", shape: [BATCH, kvHeads, PAST, headSize] });

  const weight = (name: string, shape: readonly number[]) => graph.weight(name, shape);
  const base = (x: Tensor, { name, inputs, outputs }: LinearLayer) => frozenLinear(x, weight(`${name}.weight`, [outputs, inputs]));
  const adapter = layout === undefined ? undefined : attachAdapter(graph, layout, base);
  const [bias] = attentionBias(segments, order); // [B, 1, T, T]
  if (bias === undefined) throw new Error("attention has no bias");
  const hidden = model.hidden({
    graph,
    ids: graph.input("ids", { dtype: "int64", shape: [ROWS] }),
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions,
    weight,
    linear: adapter?.linear ?? plainLinear(base),
    attend: (q, k, v, block) => {
      const inputs = { q, k, v, bias, pastBias, pastKeys: past(block, "key"), pastValues: past(block, "value") };
      const { output, keys, values } = cachedAttention(inputs, { heads, kvHeads, scale: 1 / Math.sqrt(headSize) });
      graph.output(`new.${block}.key`, keys);
      graph.output(`new.${block}.value`, values);
      return output;
    },
  }); // [N, C]
  graph.output("logits", frozenLinear(gatherRows(hidden, last), weight(model.head, [vocabulary, columns]))); // [B, V]
  return { graph, adapter };
}
