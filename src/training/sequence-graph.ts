import type { BatchShape } from "../data/batch.js";
import { Graph, type Tensor } from "../graph/graph.js";
import { type AttachedAdapter, attachAdapter } from "../lora/attach.js";
import type { AdapterLayout, LayoutEntry } from "../lora/layout.js";
import { modelWeights } from "../lora/model-weights.js";
import type { LanguageModelGraph, LinearGroup, ModelGraph } from "../models/architecture.js";
import { frozenLayersOf, throughFrozen, throughWeight } from "../models/parts/layer-bias.js";
import { plainLinear } from "../models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../models/parts/rows.js";
import type { HeadUse } from "../models/parts/vocabulary-head.js";
import { attention, attentionChunks } from "../ops/attention.js";
import { attentionBias, QUERIES } from "../ops/attention-bias.js";
import { nextToken } from "./objectives/next-token.js";
import { type Objective, SUPERVISED, type WrittenObjective } from "./objectives/objective.js";

/** A model and what it is to do; without an objective, to predict the next token. */
export type Task =
  | { readonly model: LanguageModelGraph; readonly objective?: undefined }
  | { readonly model: ModelGraph; readonly objective: Objective };

export const objectiveOf = (task: Task): Objective => task.objective ?? nextToken(task.model);

/** How a graph over whole sequences is written. */
export interface SequenceGraphShape {
  /** The adapter beside the model, and the objective's modules; without one the graph is the base's. */
  readonly layout?: AdapterLayout | undefined;
  /** Longest sequence that the program will be fed. */
  readonly maxTokens: number;
  /** Most learned tokens of a batch: more are computed in several chunks. The default fits a batch that is learned whole. */
  readonly maxSupervised?: number | undefined;
  /** Parts in which attention computes the queries; it divides every length. The default fits `maxTokens`, and every batch. */
  readonly queryChunks?: number | undefined;
  /** Whether gradients will be taken. */
  readonly differentiable?: boolean;
  /** Told what each group of layers of the bare model reads [N, in]. */
  readonly onLayerInput?: ((x: Tensor, group: LinearGroup) => void) | undefined;
  /** What the adapter's input goes through in training. */
  readonly regularise?: ((graph: Graph) => (x: Tensor) => Tensor) | undefined;
}

export type SequenceGraphOptions = Task & SequenceGraphShape;

/** A model over whole sequences, up to the loss at each learned place. */
export interface SequenceGraph extends WrittenObjective {
  readonly graph: Graph;
  /** The length of a batch's rows is a multiple of this. */
  readonly queryChunks: number;
  /** Hidden states after the final norm [N, C]. */
  readonly hidden: Tensor;
  /** What turns states [N, C] into logits in a language model. */
  head(x: Tensor): HeadUse;
  readonly adapter: AttachedAdapter | undefined;
  /** Input name → its place in the flat vector of trainables, in the order of the vector. */
  readonly trainables: ReadonlyMap<string, LayoutEntry>;
}

/**
 * Writes a model over a batch of whole sequences. Inputs: `ids` int64 [B·T], `positions` int64 [B, T], `segments` [B, T]
 * (tokens see earlier ones of an equal segment, or all of it), `order` [T] = 0 … T−1, `tokenTypes` int64 [B·T] where the model reads them, `rows` int64 [S] (rows of [B·T] at which something is
 * learned), and the objective's own.
 */
export function buildSequenceGraph(options: SequenceGraphOptions): SequenceGraph {
  const { model, layout, maxTokens, maxSupervised = 4 * maxTokens, differentiable = false, regularise, onLayerInput } = options;
  const { queryChunks = attentionChunks(maxTokens) } = options;
  const graph = new Graph();
  const { heads, kvHeads, headSize } = model.dimensions;
  const segments = graph.input("segments", { dtype: "float32", shape: [BATCH, TOKENS] });
  const order = graph.input("order", { dtype: "float32", shape: [TOKENS] });
  const rows = graph.input("rows", { dtype: "int64", shape: [SUPERVISED] });

  const weights = modelWeights(graph, layout, model);
  const { inputs: whole, weight, trained } = weights;
  const frozen = frozenLayersOf((x, { name, inputs, outputs }) => throughWeight(x, weight(`${name}.weight`, [outputs, inputs])), weight);
  const adapter = layout === undefined ? undefined : attachAdapter(graph, layout, frozen, regularise?.(graph));
  const linear = adapter?.linear ?? plainLinear((x, layer) => throughFrozen(frozen, x, layer), onLayerInput);
  const biasesOf = new Map<number | undefined, readonly Tensor[]>();
  const biases = (given: number | undefined) => {
    const window = given === undefined || given >= maxTokens ? undefined : given; // it holds the longest sequence
    const known = biasesOf.get(window) ?? attentionBias(segments, order, { chunks: queryChunks, sight: model.sight, window });
    biasesOf.set(window, known);
    return known;
  };
  const ids = graph.input("ids", { dtype: "int64", shape: [ROWS] });
  const head = (x: Tensor) => weights.head(x, adapter);
  const hidden = model.hidden({
    graph,
    ids,
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions: maxTokens,
    weight,
    embed: weights.embed(ids, adapter),
    ...(model.readsTokenTypes ? { tokenTypes: graph.input("tokenTypes", { dtype: "int64", shape: [ROWS] }) } : {}),
    linear,
    attend: (q, k, v, { scale = 1 / Math.sqrt(headSize), window, softCap }) =>
      attention(q, k, v, biases(window), { heads, kvHeads, scale, softCap }),
  }); // [N, C]
  const written = objectiveOf(options).write({
    graph,
    hidden,
    rows,
    weight,
    head,
    maxSupervised,
    differentiable,
    linear,
    parameter: (name) => {
      const tensor = trained(name);
      if (tensor === undefined) throw new Error(`the vector of trainables has no place for ${name}`);
      return tensor;
    },
  });
  return { graph, queryChunks, ...written, hidden, head, adapter, trainables: new Map([...(adapter?.inputs ?? []), ...whole]) };
}

/** Values of every symbolic dimension of a sequence graph of so many chunks, those that only its inner values have included. */
export function sequenceDimensions({ batch, tokens, supervised }: BatchShape, queryChunks: number): Record<string, number> {
  const queries = Math.ceil(tokens / queryChunks);
  return { batch, tokens: queries * queryChunks, supervised, [QUERIES]: queries };
}
