import { Graph, type Tensor } from "../graph/graph.js";
import { type AttachedAdapter, attachAdapter } from "../lora/attach.js";
import type { AdapterLayout } from "../lora/layout.js";
import type { LanguageModelGraph, LinearGroup, LinearLayer } from "../models/architecture.js";
import { withBias } from "../models/parts/layer-bias.js";
import { plainLinear } from "../models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../models/parts/rows.js";
import { type CacheUse, cachedAttention } from "../ops/cached-attention.js";
import { frozenLayers } from "../ops/frozen-layers.js";
import { gatherRows } from "../ops/gather-rows.js";
import { softCap } from "../ops/soft-cap.js";

/** Symbol of the rows of the key-value cache. */
const PAST = "past";
/** Symbol of all that a token may see: the rows of the cache and the new tokens. */
const SEEN = "seen";

export interface GenerationGraphOptions {
  readonly model: LanguageModelGraph;
  readonly layout?: AdapterLayout | undefined;
  /** Most tokens of prompt and answer together. */
  readonly maxPositions: number;
  /** What is fed: many new tokens or few, or a single one of a single sequence that has begun. */
  readonly use: CacheUse;
}

/**
 * Writes prefill and decode as one graph, or decode alone: new tokens [B, T] after P rows of a cache. Inputs: `ids` int64 [B·T],
 * `positions` int64 [B, T], `last` int64 [B] (the row of [B·T] whose successor is wanted), `bias` [B, 1, T, P + T] (0 where a
 * new token sees a row of the cache or a new token, else masked), and `past.i.key` and `past.i.value` [P, B, K, D] of each
 * block. Outputs: `logits` [B, V], and the new rows `new.i.key`, `new.i.value` [B, T, K·D]. The cache itself never leaves the
 * host.
 */
export function buildGenerationGraph({ model, layout, maxPositions, use }: GenerationGraphOptions): {
  graph: Graph;
  adapter: AttachedAdapter | undefined;
} {
  const graph = new Graph();
  const { vocabulary, hidden: columns, heads, kvHeads, headSize } = model.dimensions;
  const last = graph.input("last", { dtype: "int64", shape: [BATCH] });
  const bias = use === "oneToken" ? undefined : graph.input("bias", { dtype: "float32", shape: [BATCH, 1, TOKENS, SEEN] });
  const past = (block: number, kind: "key" | "value") =>
    graph.input(`past.${block}.${kind}`, { dtype: "float32", shape: [PAST, BATCH, kvHeads, headSize] });

  const weight = (name: string, shape: readonly number[]) => graph.weight(name, shape);
  const frozen = (x: Tensor, weights: readonly Tensor[]) => frozenLayers(x, weights, { oneRow: use === "oneToken" });
  const products = frozenGroups(model, (x, group) =>
    frozen(
      x,
      group.map(({ name, inputs, outputs }) => weight(`${name}.weight`, [outputs, inputs])),
    ),
  );
  const base = withBias(products, weight);
  const adapter = layout === undefined ? undefined : attachAdapter(graph, layout, base);
  const hidden = model.hidden({
    graph,
    ids: graph.input("ids", { dtype: "int64", shape: [ROWS] }),
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions,
    weight,
    linear: adapter?.linear ?? plainLinear(base),
    attend: (q, k, v, { block, scale = 1 / Math.sqrt(headSize) }) => {
      graph.output(`new.${block}.key`, k);
      graph.output(`new.${block}.value`, v);
      const inputs = { q, k, v, bias, pastKeys: past(block, "key"), pastValues: past(block, "value") };
      return cachedAttention(inputs, { heads, kvHeads, scale, use });
    },
  }); // [N, C]
  const [logits] = frozen(gatherRows(hidden, last), [weight(model.head, [vocabulary, columns])]); // [B, V]
  if (logits === undefined) throw new Error("the head has no output");
  graph.output("logits", model.logitSoftCap === undefined ? logits : softCap(logits, model.logitSoftCap));
  return { graph, adapter };
}

/** The layers of a model, those that read one input together: they are written when the first of them is asked for. */
function frozenGroups({ linearGroups }: LanguageModelGraph, write: (x: Tensor, group: LinearGroup) => readonly Tensor[]) {
  const groupOf = new Map(linearGroups.flatMap((group) => group.map(({ name }) => [name, group] as const)));
  const written = new Map<string, Tensor | undefined>();
  return (x: Tensor, { name }: LinearLayer): Tensor => {
    const group = groupOf.get(name);
    if (group === undefined) throw new Error(`the model has no layer ${name}`);
    if (!written.has(name)) for (const [index, output] of write(x, group).entries()) written.set(group[index]?.name ?? "", output);
    const output = written.get(name);
    if (output === undefined) throw new Error(`${name} has no output`);
    return output;
  };
}
