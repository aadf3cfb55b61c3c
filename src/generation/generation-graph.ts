import { Graph, type Tensor } from "../graph/graph.js";
import { attachAdapter } from "../lora/attach.js";
import type { AdapterLayout, LayoutEntry } from "../lora/layout.js";
import { modelWeights } from "../lora/model-weights.js";
import { attachRows } from "../lora/serving/attach-rows.js";
import type { AdapterSites } from "../lora/serving/sites.js";
import type { LanguageModelGraph, LinearGroup, LinearLayer } from "../models/architecture.js";
import { frozenLayersOf, throughFrozen } from "../models/parts/layer-bias.js";
import { plainLinear } from "../models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../models/parts/rows.js";
import { withBeside } from "../models/parts/vocabulary-head.js";
import { type CacheUse, cachedAttention } from "../ops/cached-attention.js";
import { frozenLayers } from "../ops/frozen-layers.js";
import { gatherRows } from "../ops/gather-rows.js";
import { linear } from "../ops/linear.js";
import { softCap } from "../ops/soft-cap.js";

/** Symbol of the rows of the key-value cache that blocks with a window, or without one, are fed. */
const pastOf = (window: number | undefined) => `past${window ?? ""}`;
/** Symbol of all that a token may see: those rows and the new tokens. */
const seenOf = (window: number | undefined) => `seen${window ?? ""}`;
/** The input that holds the mask of such blocks. */
export const maskName = (window: number | undefined) => `bias${window ?? ""}`;

/** Values of the symbols of so many rows. */
export function pastDimensions(window: number | undefined, past: number, tokens: number): Record<string, number> {
  return { [pastOf(window)]: past, [seenOf(window)]: past + tokens };
}

export interface GenerationGraphOptions {
  readonly model: LanguageModelGraph;
  /** Of one adapter that all sequences have. */
  readonly layout?: AdapterLayout | undefined;
  /** Instead of it: where each sequence may have an adapter of its own. */
  readonly sites?: AdapterSites | undefined;
  /** Most tokens of prompt and answer together. */
  readonly maxPositions: number;
  /** What is fed: many new tokens or few, or a single one of a single sequence that has begun. */
  readonly use: CacheUse;
}

/**
 * Writes prefill and decode as one graph, or decode alone: new tokens [B, T] after P rows of a cache. Inputs: `ids` int64 [B·T],
 * `positions` int64 [B, T], `last` int64 [B] (the row of [B·T] whose successor is wanted), `bias` [B, 1, T, P + T] (0 where a
 * new token sees a row of the cache or a new token, else masked), and `past.i.key` and `past.i.value` [P, B, K, D] of each
 * block. Blocks with a window w have a P of their own, and the mask `biasw`. With an adapter its matrices are inputs too. Outputs: `logits` [B, V], and the new rows `new.i.key`, `new.i.value` [B, T, K·D]. The cache itself never leaves the
 * host.
 */
export function buildGenerationGraph({ model, layout, sites, maxPositions, use }: GenerationGraphOptions): {
  graph: Graph;
  /** Input name → its place in the vector of the adapter. */
  inputs: ReadonlyMap<string, LayoutEntry>;
  /** The window of each block. */
  windows: readonly (number | undefined)[];
} {
  const graph = new Graph();
  const { heads, kvHeads, headSize } = model.dimensions;
  const last = graph.input("last", { dtype: "int64", shape: [BATCH] });
  const masks = new Map<number | undefined, Tensor>();
  const maskOf = (window: number | undefined) => {
    if (use === "oneToken") return undefined;
    const mask = masks.get(window) ?? graph.input(maskName(window), { dtype: "float32", shape: [BATCH, 1, TOKENS, seenOf(window)] });
    masks.set(window, mask);
    return mask;
  };
  const windows: (number | undefined)[] = [];

  const weights = modelWeights(graph, layout, model);
  const { inputs: whole, weight, trained } = weights;
  const frozen = (x: Tensor, weights: readonly Tensor[]) => frozenLayers(x, weights, { oneRow: use === "oneToken" });
  // Frozen layers may be stored as one, those that are trained whole among them: they are read together, and its outputs replaced.
  const products = frozenGroups(model, (x, group) => {
    const own = group.map(({ name }) => trained(`${name}.weight`));
    const stored = own.includes(undefined)
      ? frozen(
          x,
          group.map(({ name, inputs, outputs }) => graph.weight(`${name}.weight`, [outputs, inputs])),
        )
      : [];
    return own.map((weight, index) => (weight === undefined ? stored[index] : linear(x, weight)));
  });
  const base = frozenLayersOf(products, weight);
  const adapter = layout === undefined ? undefined : attachAdapter(graph, layout, base);
  const byRow = sites === undefined ? undefined : attachRows(graph, sites, base, { oneRow: use === "oneToken" });
  const ids = graph.input("ids", { dtype: "int64", shape: [ROWS] });
  const hidden = model.hidden({
    graph,
    ids,
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions,
    weight,
    embed: weights.embed(ids, adapter),
    linear: adapter?.linear ?? byRow ?? plainLinear((x, layer) => throughFrozen(base, x, layer)),
    attend: (q, k, v, { block, scale = 1 / Math.sqrt(headSize), window: given, softCap }) => {
      const window = given === undefined || given >= maxPositions ? undefined : given; // it holds the longest sequence
      windows[block] = window;
      const past = (kind: "key" | "value") =>
        graph.input(`past.${block}.${kind}`, { dtype: "float32", shape: [pastOf(window), BATCH, kvHeads, headSize] });
      graph.output(`new.${block}.key`, k);
      graph.output(`new.${block}.value`, v);
      const inputs = { q, k, v, bias: maskOf(window), pastKeys: past("key"), pastValues: past("value") };
      return cachedAttention(inputs, { heads, kvHeads, scale, softCap, use });
    },
  }); // [N, C]
  const states = gatherRows(hidden, last);
  const head = weights.head(states, adapter);
  const [plain] = head.weight.source.kind === "weight" ? frozen(states, [head.weight]) : [linear(states, head.weight)]; // [B, V]
  if (plain === undefined) throw new Error("the head has no output");
  const logits = withBeside(plain, head);
  graph.output("logits", model.logitSoftCap === undefined ? logits : softCap(logits, model.logitSoftCap));
  return { graph, inputs: new Map([...(adapter?.inputs ?? []), ...whole]), windows };
}

/** The layers of a model, those that read one input together: they are written when the first of them is asked for. */
export function frozenGroups(
  { linearGroups }: LanguageModelGraph,
  write: (x: Tensor, group: LinearGroup) => readonly (Tensor | undefined)[],
) {
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
