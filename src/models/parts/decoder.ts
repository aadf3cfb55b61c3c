import type { LanguageModelGraph } from "../architecture.js";
import type { DecoderConfig } from "./decoder-config.js";
import { decoderGraph } from "./decoder-graph.js";
import { scoreHead } from "./label-scores.js";
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
  return decoderGraph({
    modelType: config.modelType,
    dimensions,
    tables: [[EMBEDDING, [vocabulary, hidden]]],
    embed: ({ embed }) => embed(EMBEDDING, [vocabulary, hidden]),
    blocks,
    lastNorm: norm("model.norm"),
    tied: config.tied,
    classificationHead: (task, labels) => scoreHead(task, hidden, labels, config.initialDeviation),
  });
}
