import type { Tensor } from "../../graph/graph.js";
import { add } from "../../ops/add.js";
import { gatherRows } from "../../ops/gather-rows.js";
import type { LanguageModelGraph, ModelContext } from "../architecture.js";
import type { DecoderConfig } from "./decoder-config.js";
import { scoreHead } from "./label-scores.js";
import { layerWeights } from "./layer-weights.js";
import { inSequence, rootMeanSquareNorm, type Sublayer } from "./sublayer.js";

const EMBEDDING = "model.embed_tokens.weight";

/**
 * A decoder of Llama's build: a table of embeddings, blocks of pre-normalised sublayers whose outputs are added to the residual stream,
 * a norm behind the last, and a head that is a matrix of its own or the table.
 *
 * @param sublayersOf attention and feed-forward of a block
 */
export function preNormDecoder(
  config: DecoderConfig,
  sublayersOf: (block: number, name: string) => { readonly attention: Sublayer; readonly feedForward: Sublayer },
): LanguageModelGraph {
  const { dimensions, epsilon } = config;
  const { vocabulary, hidden } = dimensions;
  const norm = (name: string) => rootMeanSquareNorm(name, hidden, epsilon);
  const blocks = Array.from({ length: dimensions.blocks }, (_, block) => {
    const name = `model.layers.${block}`;
    const { attention, feedForward } = sublayersOf(block, name);
    return [
      inSequence(norm(`${name}.input_layernorm`), attention),
      inSequence(norm(`${name}.post_attention_layernorm`), feedForward),
    ] as const;
  });
  const lastNorm = norm("model.norm");
  const sublayers = blocks.flat();
  const linearGroups = sublayers.flatMap((sublayer) => sublayer.linearGroups);
  const head = config.tied ? EMBEDDING : "lm_head.weight";
  return {
    modelType: config.modelType,
    dimensions,
    sight: "causal",
    weights: new Map([
      [EMBEDDING, [vocabulary, hidden]],
      ...sublayers.flatMap(({ weights }) => weights),
      ...layerWeights(linearGroups),
      ...lastNorm.weights,
      [head, [vocabulary, hidden]],
    ]),
    linearGroups,
    hidden: (context) => lastNorm.apply(throughBlocks(embed(config, context), blocks, context), context),
    classificationHead: (task, labels) => scoreHead(task, hidden, labels, config.initialDeviation),
    head,
  };
}

function embed({ dimensions: { vocabulary, hidden } }: DecoderConfig, { weight, ids }: ModelContext): Tensor {
  return gatherRows(weight(EMBEDDING, [vocabulary, hidden]), ids); // [N, C]
}

/** The residual stream [N, C] through blocks, whose inputs are the places at which gradient checkpointing starts anew. */
export function throughBlocks(x: Tensor, blocks: readonly (readonly Sublayer[])[], context: ModelContext): Tensor {
  let stream = x;
  for (const sublayers of blocks) {
    context.graph.checkpoints.add(stream);
    for (const sublayer of sublayers) stream = add(stream, sublayer.apply(stream, context));
  }
  context.graph.checkpoints.add(stream);
  return stream;
}
