import type { Tensor } from "../../graph/graph.js";
import { add } from "../../ops/add.js";
import { gatherRows } from "../../ops/gather-rows.js";
import { type GeluKind, gelu } from "../../ops/gelu.js";
import { layerNorm } from "../../ops/layer-norm.js";
import { rowsFrom } from "../../ops/rows-from.js";
import type { CheckpointForm, LinearGroup, LinearLayer, ModelContext, ModelDimensions, ModelGraph } from "../architecture.js";
import { layerWeights } from "./layer-weights.js";
import { byRow, bySequence } from "./rows.js";

// The encoder of BERT (Devlin et al. 2019): learned positions and types of tokens, blocks whose norms stand behind each sum, GELU, a
// bias in every layer. RoBERTa has the same, its names and positions aside.
//
// B batch, T tokens, N = B·T rows, C hidden, H heads, F feed-forward, P positions, V vocabulary

export interface PostNormEncoder {
  /** Beginning of the names of its weights: `bert.`. */
  readonly prefix: string;
  readonly dimensions: ModelDimensions;
  readonly feedForward: number;
  readonly epsilon: number;
  readonly activation: GeluKind;
  /** Rows of the table of token types. */
  readonly tokenTypes: number;
  /** Rows of the table of positions; the first position of a text is row `firstPosition`. */
  readonly positionRows: number;
  readonly firstPosition: number;
}

/** The model of an encoder, with the heads that its architecture has. */
export function postNormModel(
  modelType: string,
  encoder: PostNormEncoder,
  classificationHead: ModelGraph["classificationHead"],
): ModelGraph {
  const blocks = encoderBlocks(encoder);
  const linearGroups = blocks.flatMap(({ qkv, output, up, down }) => [qkv, [output], [up], [down]]);
  return {
    modelType,
    dimensions: encoder.dimensions,
    sight: "both",
    readsTokenTypes: encoder.tokenTypes > 1,
    weights: encoderWeights(encoder, blocks, linearGroups),
    checkpointForm: checkpointForm(encoder.prefix),
    embedding: embeddingNames(encoder).words,
    linearGroups,
    hidden: (context) => encoderStates(encoder, blocks, context),
    classificationHead,
  };
}

/** Files of the bare model lack the prefix; the first ones were converted from TensorFlow, with its names of a norm's parameters. */
const checkpointForm = (prefix: string): CheckpointForm => ({
  prefixes: [[prefix, ""]],
  endings: [
    ["LayerNorm.weight", "LayerNorm.gamma"],
    ["LayerNorm.bias", "LayerNorm.beta"],
  ],
  constants: /(^|\.)embeddings\.(position_ids|token_type_ids)$/,
});

interface EncoderBlock {
  readonly qkv: readonly [LinearLayer, LinearLayer, LinearLayer];
  readonly output: LinearLayer;
  readonly attentionNorm: string;
  readonly up: LinearLayer;
  readonly down: LinearLayer;
  readonly feedForwardNorm: string;
}

function encoderBlocks(encoder: PostNormEncoder): readonly EncoderBlock[] {
  const { prefix, feedForward } = encoder;
  const { blocks, hidden } = encoder.dimensions;
  return Array.from({ length: blocks }, (_, block) => {
    const path = `${prefix}encoder.layer.${block}`;
    const layer = (name: string, inputs: number, outputs: number, makesScores = false): LinearLayer => ({
      name: `${path}.${name}`,
      inputs,
      outputs,
      makesScores,
      hasBias: true,
    });
    return {
      qkv: [
        layer("attention.self.query", hidden, hidden, true),
        layer("attention.self.key", hidden, hidden, true),
        layer("attention.self.value", hidden, hidden),
      ],
      output: layer("attention.output.dense", hidden, hidden),
      attentionNorm: `${path}.attention.output.LayerNorm`,
      up: layer("intermediate.dense", hidden, feedForward),
      down: layer("output.dense", feedForward, hidden),
      feedForwardNorm: `${path}.output.LayerNorm`,
    };
  });
}

function encoderWeights(
  encoder: PostNormEncoder,
  blocks: readonly EncoderBlock[],
  groups: readonly LinearGroup[],
): ReadonlyMap<string, readonly number[]> {
  const { vocabulary, hidden } = encoder.dimensions;
  const names = embeddingNames(encoder);
  const norms = [names.norm, ...blocks.flatMap(({ attentionNorm, feedForwardNorm }) => [attentionNorm, feedForwardNorm])];
  return new Map<string, readonly number[]>([
    [names.words, [vocabulary, hidden]],
    [names.positions, [encoder.positionRows, hidden]],
    [names.types, [encoder.tokenTypes, hidden]],
    ...norms.flatMap((norm) => [`${norm}.weight`, `${norm}.bias`]).map((name) => [name, [hidden]] as const),
    ...layerWeights(groups),
  ]);
}

function embeddingNames({ prefix }: PostNormEncoder) {
  return {
    words: `${prefix}embeddings.word_embeddings.weight`,
    positions: `${prefix}embeddings.position_embeddings.weight`,
    types: `${prefix}embeddings.token_type_embeddings.weight`,
    norm: `${prefix}embeddings.LayerNorm`,
  };
}

/** Token ids → hidden states of the last block [N, C]. */
function encoderStates(encoder: PostNormEncoder, blocks: readonly EncoderBlock[], context: ModelContext): Tensor {
  const { graph, weight, linear } = context;
  const { hidden } = encoder.dimensions;
  const norm = (x: Tensor, name: string) =>
    layerNorm(x, weight(`${name}.weight`, [hidden]), weight(`${name}.bias`, [hidden]), encoder.epsilon);

  let x = norm(embedded(encoder, context), embeddingNames(encoder).norm); // [N, C]
  for (const [block, { qkv, output, attentionNorm, up, down, feedForwardNorm }] of blocks.entries()) {
    graph.checkpoints.add(x);
    const [q, k, v] = linear(x, qkv); // [N, C] each
    const mixed = context.attend(bySequence(q), bySequence(k), bySequence(v), { block }); // [B, T, C]
    const [attended] = linear(byRow(mixed), [output]);
    x = norm(add(x, attended), attentionNorm);
    const [inner] = linear(x, [up]); // [N, F]
    const [fed] = linear(gelu(inner, encoder.activation), [down]); // [N, C]
    x = norm(add(x, fed), feedForwardNorm);
  }
  graph.checkpoints.add(x);
  return x;
}

/** The sum of three embeddings of each token: its id's, its position's and its type's [N, C]. */
function embedded(encoder: PostNormEncoder, { weight, embed, positions, tokenTypes }: ModelContext): Tensor {
  const { vocabulary, hidden } = encoder.dimensions;
  const names = embeddingNames(encoder);
  const places = rowsFrom(weight(names.positions, [encoder.positionRows, hidden]), encoder.firstPosition);
  const types = weight(names.types, [encoder.tokenTypes, hidden]);
  const words = add(embed(names.words, [vocabulary, hidden]), gatherRows(places, positions));
  if (encoder.tokenTypes === 1) return add(words, types); // [1, C] for all
  if (tokenTypes === undefined) throw new Error("the model reads types of tokens, and was handed none");
  return add(words, gatherRows(types, tokenTypes));
}
