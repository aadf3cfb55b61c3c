import type { Tensor } from "../../graph/graph.js";
import { add } from "../../ops/add.js";
import type { LanguageModelGraph, ModelContext } from "../architecture.js";
import { layerWeights } from "./layer-weights.js";
import type { NamedShape, Sublayer } from "./sublayer.js";

/** What a decoder is put together from. */
export interface DecoderParts extends Pick<LanguageModelGraph, "modelType" | "dimensions" | "classificationHead"> {
  /** Tables that embeddings are read from, that of the tokens first. */
  readonly tables: readonly [tokens: NamedShape, ...others: NamedShape[]];
  /** The embeddings of the tokens [N, C]. */
  readonly embed: (context: ModelContext) => Tensor;
  /** Sublayers of each block, whose outputs are added to the residual stream. */
  readonly blocks: readonly (readonly Sublayer[])[];
  readonly lastNorm: Sublayer;
  /** The head is the tokens' table, not a matrix of its own. */
  readonly tied: boolean;
}

/** A decoder: embeddings, blocks, a norm behind the last, and a head that is a matrix of its own or the table. */
export function decoderGraph({
  modelType,
  dimensions,
  classificationHead,
  tables,
  embed,
  blocks,
  lastNorm,
  tied,
}: DecoderParts): LanguageModelGraph {
  const { vocabulary, hidden } = dimensions;
  const sublayers = blocks.flat();
  const linearGroups = sublayers.flatMap((sublayer) => sublayer.linearGroups);
  const head = tied ? tables[0][0] : "lm_head.weight";
  return {
    modelType,
    dimensions,
    sight: "causal",
    weights: new Map([
      ...tables,
      ...sublayers.flatMap(({ weights }) => weights),
      ...layerWeights(linearGroups),
      ...lastNorm.weights,
      [head, [vocabulary, hidden]],
    ]),
    embedding: tables[0][0],
    linearGroups,
    hidden: (context) => lastNorm.apply(throughBlocks(embed(context), blocks, context), context),
    classificationHead,
    head,
  };
}

/** The residual stream [N, C] through blocks, whose inputs are the places at which gradient checkpointing starts anew. */
function throughBlocks(x: Tensor, blocks: DecoderParts["blocks"], context: ModelContext): Tensor {
  let stream = x;
  for (const sublayers of blocks) {
    context.graph.checkpoints.add(stream);
    for (const sublayer of sublayers) stream = add(stream, sublayer.apply(stream, context));
  }
  context.graph.checkpoints.add(stream);
  return stream;
}
