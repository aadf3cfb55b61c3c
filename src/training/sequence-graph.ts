import { Graph, type Tensor } from "../graph/graph.js";
import { type AttachedAdapter, attachAdapter } from "../lora/attach.js";
import type { AdapterLayout } from "../lora/layout.js";
import type { LanguageModelGraph, LinearGroup } from "../models/architecture.js";
import { withBias } from "../models/parts/layer-bias.js";
import { plainLinear } from "../models/parts/plain-linear.js";
import { BATCH, ROWS, TOKENS } from "../models/parts/rows.js";
import { attention, attentionChunks } from "../ops/attention.js";
import { attentionBias, QUERIES } from "../ops/attention-bias.js";
import { frozenLinear } from "../ops/frozen-linear.js";
import { gatherRows } from "../ops/gather-rows.js";
import { DITHER_ROWS, lossChunks, vocabularyLoss } from "../ops/vocabulary-loss.js";

/** Symbol of the number of supervised tokens, padded to a bucket. */
export const SUPERVISED = "supervised";

export interface SequenceGraphOptions {
  readonly model: LanguageModelGraph;
  /** The adapter beside the model; without one the graph is the base's. */
  readonly layout?: AdapterLayout | undefined;
  /** Longest sequence that the program will be fed. */
  readonly maxTokens: number;
  /** Most learned tokens of a batch: more are computed in several chunks. The default fits a batch that is learned whole. */
  readonly maxSupervised?: number | undefined;
  /** Parts in which attention computes the queries; it divides every length. The default fits `maxTokens`. */
  readonly queryChunks?: number | undefined;
  /** Whether gradients will be taken. */
  readonly differentiable?: boolean;
  /** Told what each group of layers of the bare model reads [N, in]. */
  readonly onLayerInput?: ((x: Tensor, group: LinearGroup) => void) | undefined;
  /** What the adapter's input goes through in training. */
  readonly regularise?: ((graph: Graph) => (x: Tensor) => Tensor) | undefined;
}

/** A model over whole sequences, up to the loss of each supervised token. */
export interface SequenceGraph {
  readonly graph: Graph;
  /** The negative log-likelihood of each supervised token, in nats [S]. */
  readonly losses: Tensor;
  /** Hidden states after the final norm [N, C]. */
  readonly hidden: Tensor;
  readonly adapter: AttachedAdapter | undefined;
  /** The number of supervised tokens that the program is fed is a multiple of this. */
  readonly supervisedMultiple: number;
}

/**
 * Writes a model over a batch of whole sequences. Inputs: `ids` int64 [B·T], `positions` int64 [B, T], `segments` [B, T]
 * (tokens see earlier ones of an equal segment), `order` [T] = 0 … T−1, `rows` int64 [S] (rows of [B·T] whose next token
 * is supervised) and `targets` int64 [S]. Only those rows reach the vocabulary.
 */
export function buildSequenceGraph({
  model,
  layout,
  maxTokens,
  maxSupervised = 4 * maxTokens,
  differentiable = false,
  regularise,
  onLayerInput,
  queryChunks = attentionChunks(maxTokens),
}: SequenceGraphOptions): SequenceGraph {
  const graph = new Graph();
  const { heads, kvHeads, headSize } = model.dimensions;
  const segments = graph.input("segments", { dtype: "float32", shape: [BATCH, TOKENS] });
  const order = graph.input("order", { dtype: "float32", shape: [TOKENS] });
  const rows = graph.input("rows", { dtype: "int64", shape: [SUPERVISED] });
  const targets = graph.input("targets", { dtype: "int64", shape: [SUPERVISED] });

  const weight = (name: string, shape: readonly number[]) => graph.weight(name, shape);
  const base = withBias((x, { name, inputs, outputs }) => frozenLinear(x, weight(`${name}.weight`, [outputs, inputs])), weight);
  const adapter = layout === undefined ? undefined : attachAdapter(graph, layout, base, regularise?.(graph));
  const biases = attentionBias(segments, order, queryChunks);
  const hidden = model.hidden({
    graph,
    ids: graph.input("ids", { dtype: "int64", shape: [ROWS] }),
    positions: graph.input("positions", { dtype: "int64", shape: [BATCH, TOKENS] }),
    maxPositions: maxTokens,
    weight,
    linear: adapter?.linear ?? plainLinear(base, onLayerInput),
    attend: (q, k, v, { scale = 1 / Math.sqrt(headSize) }) => attention(q, k, v, biases, { heads, kvHeads, scale }),
  }); // [N, C]
  const { vocabulary, hidden: columns } = model.dimensions;
  const head = weight(model.head, [vocabulary, columns]);
  const chunks = lossChunks(maxSupervised);
  const losses = vocabularyLoss(gatherRows(hidden, rows), head, targets, { chunks, differentiable });
  return { graph, losses, hidden, adapter, supervisedMultiple: chunks * DITHER_ROWS };
}

/** Values of every symbolic dimension of a sequence graph of default chunks, those that only its inner values have included. */
export function sequenceDimensions(
  { batch, tokens, supervised }: { readonly batch: number; readonly tokens: number; readonly supervised: number },
  maxTokens: number,
): Record<string, number> {
  return { batch, tokens, supervised, [QUERIES]: tokens / attentionChunks(maxTokens) };
}
