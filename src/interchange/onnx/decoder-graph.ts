import { frozenGroups } from "../../generation/generation-graph.js";
import { Graph, type Tensor } from "../../graph/graph.js";
import { modelWeights } from "../../lora/model-weights.js";
import type { LanguageModelGraph } from "../../models/architecture.js";
import { frozenLayersOf, throughFrozen } from "../../models/parts/layer-bias.js";
import { plainLinear } from "../../models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../../models/parts/rows.js";
import { frozenLayers } from "../../ops/frozen-layers.js";
import { gatherRows } from "../../ops/gather-rows.js";
import { pastAttention } from "../../ops/past-attention.js";
import { softCap } from "../../ops/soft-cap.js";

/** Symbols of the rows of the cache, of these and the new tokens, and of the tokens whose logits are wanted. */
export const PAST = "past";
export const SEEN = "seen";
const WANTED = "wanted";

/** The input that holds the mask of blocks with such a window. */
export const biasName = (window: number | undefined): string => `bias${window ?? ""}`;

/** A decoder whose cache is passed through it, as transformers.js keeps it. */
export interface DecoderGraph {
  readonly graph: Graph;
  /** The windows for which there is a mask. */
  readonly windows: readonly (number | undefined)[];
}

/**
 * A decoder over new tokens [B, T] after P rows of a cache. Inputs: `ids` int64 [B·T], `positions` int64 [B, T], `wanted` int64 (rows of
 * [B·T] whose logits are wanted), a mask [B, 1, T, P + T] for each window (`biasName`), and `past_key_values.i.key` and `.value`
 * [B, K, P, D] of each block. Outputs: `logits`, a row [V] for each wanted one, and `present.i.key` and `.value` [B, K, P + T, D].
 */
export function buildDecoderGraph(model: LanguageModelGraph): DecoderGraph {
  const graph = new Graph();
  const { heads, kvHeads, headSize, maxPositions } = model.dimensions;
  const wanted = graph.input("wanted", { dtype: "int64", shape: [WANTED] });
  const biases = new Map<number | undefined, Tensor>();
  const biasOf = (window: number | undefined) => {
    const known = biases.get(window) ?? graph.input(biasName(window), { dtype: "float32", shape: [BATCH, 1, TOKENS, SEEN] });
    biases.set(window, known);
    return known;
  };
  const { weight, embed, head } = modelWeights(graph, undefined, model);
  const layers = frozenGroups(model, (x, group) =>
    frozenLayers(
      x,
      group.map(({ name, inputs, outputs }) => weight(`${name}.weight`, [outputs, inputs])),
    ),
  );
  const base = frozenLayersOf(layers, weight);
  const ids = graph.input("ids", { dtype: "int64", shape: [ROWS] });
  const hidden = model.hidden({
    graph,
    ids,
    embed: embed(ids, undefined),
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions,
    weight,
    linear: plainLinear((x, layer) => throughFrozen(base, x, layer)),
    attend: (q, k, v, { block, scale = 1 / Math.sqrt(headSize), window: given, softCap }) => {
      const window = given === undefined || given >= maxPositions ? undefined : given; // it holds the longest sequence
      const past = (kind: "key" | "value") =>
        graph.input(`past_key_values.${block}.${kind}`, { dtype: "float32", shape: [BATCH, kvHeads, PAST, headSize] });
      const inputs = { q, k, v, pastKeys: past("key"), pastValues: past("value"), bias: biasOf(window) };
      const { attended, keys, values } = pastAttention(inputs, { heads, kvHeads, scale, softCap });
      graph.output(`present.${block}.key`, keys);
      graph.output(`present.${block}.value`, values);
      return attended;
    },
  }); // [N, C]
  const states = gatherRows(hidden, wanted);
  const [logits] = frozenLayers(states, [head(states, undefined).weight]); // [wanted, V]
  if (logits === undefined) throw new Error("the head has no output");
  graph.output("logits", model.logitSoftCap === undefined ? logits : softCap(logits, model.logitSoftCap));
  return { graph, windows: [...biases.keys()] };
}
