import { InputError } from "../errors.js";
import type { Tensor } from "../graph/graph.js";
import { add } from "../ops/add.js";
import { gatherRows } from "../ops/gather-rows.js";
import { rmsNorm } from "../ops/rms-norm.js";
import { swiglu } from "../ops/swiglu.js";
import type { Architecture, LanguageModelGraph, LinearGroup, LinearLayer, ModelContext, ModelDimensions } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { scoreHead } from "./parts/label-scores.js";
import { layerWeights } from "./parts/layer-weights.js";
import { type Rotary, readRotary } from "./parts/rotary-tables.js";
import { rotation } from "./parts/rotation.js";
import { byRow, bySequence } from "./parts/rows.js";

// Llama (Touvron et al. 2023): pre-norm blocks of rotary grouped-query attention and SwiGLU, no biases. SmolLM2, Llama 2
// and 3, TinyLlama and Mistral differ by configuration only.
//
// B batch, T tokens, N = B·T rows, C hidden, H heads, K key-value heads, D head size, F feed-forward, V vocabulary

interface LlamaConfig {
  readonly modelType: string;
  readonly dimensions: ModelDimensions;
  readonly feedForward: number;
  readonly epsilon: number;
  readonly rotary: Rotary;
  /** The output projection is the embedding table. */
  readonly tied: boolean;
  /** Standard deviation of fresh weights. */
  readonly initialDeviation: number;
}

export const llama: Architecture = {
  modelTypes: ["llama", "mistral"],
  read: (config) => buildLlama(readConfig(config)),
};

function readConfig(json: Readonly<Record<string, unknown>>): LlamaConfig {
  const config = new ConfigReader(json);
  const hidden = config.count("hidden_size");
  const heads = config.count("num_attention_heads");
  const kvHeads = config.count("num_key_value_heads", heads);
  const headSize = config.count("head_dim", hidden / heads);
  const maxPositions = config.count("max_position_embeddings", 2048);
  // Within its window, a sliding window sees what full attention sees.
  const window = json.sliding_window === undefined || json.sliding_window === null ? maxPositions : config.count("sliding_window");
  for (const field of ["attention_bias", "mlp_bias"]) {
    if (config.flag(field, false)) throw new InputError(`config.json: "${field}" is true; Llama models with biases are not supported`);
  }
  const activation = config.text("hidden_act", "silu");
  if (activation !== "silu") throw new InputError(`config.json: "hidden_act" is "${activation}"; a Llama model has "silu"`);
  if (heads % kvHeads !== 0) throw new InputError(`config.json: ${heads} heads cannot share ${kvHeads} key-value heads evenly`);
  if (headSize % 2 !== 0) throw new InputError(`config.json: head size ${headSize} is odd; rotary embeddings turn pairs`);
  return {
    modelType: config.text("model_type", "llama"),
    dimensions: {
      vocabulary: config.count("vocab_size"),
      hidden,
      blocks: config.count("num_hidden_layers"),
      heads,
      kvHeads,
      headSize,
      maxPositions: Math.min(maxPositions, window),
    },
    feedForward: config.count("intermediate_size"),
    epsilon: config.positive("rms_norm_eps", 1e-6),
    rotary: readRotary(json),
    tied: config.flag("tie_word_embeddings", false),
    initialDeviation: config.positive("initializer_range", 0.02),
  };
}

function buildLlama(config: LlamaConfig): LanguageModelGraph {
  const { blocks } = config.dimensions;
  const groups = Array.from({ length: blocks }, (_, block) => blockGroups(config, block));
  const headName = config.tied ? EMBEDDING : "lm_head.weight";
  return {
    modelType: config.modelType,
    dimensions: config.dimensions,
    sight: "causal",
    weights: weightShapes(config, groups.flatMap(Object.values), headName),
    linearGroups: groups.flatMap(({ qkv, output, gateUp, down }) => [qkv, output, gateUp, down]),
    hidden: (context) => hiddenStates(config, groups, context),
    classificationHead: (task, labels) => scoreHead(task, config.dimensions.hidden, labels, config.initialDeviation),
    head: headName,
  };
}

const EMBEDDING = "model.embed_tokens.weight";
const FINAL_NORM = "model.norm.weight";

interface BlockGroups {
  readonly qkv: readonly [LinearLayer, LinearLayer, LinearLayer];
  readonly output: readonly [LinearLayer];
  readonly gateUp: readonly [LinearLayer, LinearLayer];
  readonly down: readonly [LinearLayer];
}

function blockGroups({ dimensions, feedForward }: LlamaConfig, block: number): BlockGroups {
  const { hidden, heads, kvHeads, headSize } = dimensions;
  const layer = (name: string, inputs: number, outputs: number, makesScores = false): LinearLayer => ({
    name: `model.layers.${block}.${name}`,
    inputs,
    outputs,
    makesScores,
  });
  return {
    qkv: [
      layer("self_attn.q_proj", hidden, heads * headSize, true),
      layer("self_attn.k_proj", hidden, kvHeads * headSize, true),
      layer("self_attn.v_proj", hidden, kvHeads * headSize),
    ],
    output: [layer("self_attn.o_proj", heads * headSize, hidden)],
    gateUp: [layer("mlp.gate_proj", hidden, feedForward), layer("mlp.up_proj", hidden, feedForward)],
    down: [layer("mlp.down_proj", feedForward, hidden)],
  };
}

function weightShapes({ dimensions }: LlamaConfig, groups: readonly LinearGroup[], headName: string): Map<string, readonly number[]> {
  const { vocabulary, hidden, blocks } = dimensions;
  const shapes = new Map<string, readonly number[]>([[EMBEDDING, [vocabulary, hidden]]]);
  for (let block = 0; block < blocks; block++) for (const norm of Object.values(normNames(block))) shapes.set(norm, [hidden]);
  for (const [name, shape] of layerWeights(groups)) shapes.set(name, shape);
  return shapes.set(FINAL_NORM, [hidden]).set(headName, [vocabulary, hidden]);
}

function normNames(block: number): { attention: string; feedForward: string } {
  return {
    attention: `model.layers.${block}.input_layernorm.weight`,
    feedForward: `model.layers.${block}.post_attention_layernorm.weight`,
  };
}

function hiddenStates(config: LlamaConfig, groups: readonly BlockGroups[], context: ModelContext): Tensor {
  const { vocabulary, hidden, headSize } = config.dimensions;
  const rotate = rotation(context, config.rotary, headSize); // [B, T, ·]
  const norm = (x: Tensor, name: string) => rmsNorm(x, context.weight(name, [hidden]), config.epsilon);

  let x = gatherRows(context.weight(EMBEDDING, [vocabulary, hidden]), context.ids); // [N, C]
  for (const [block, { qkv, output, gateUp, down }] of groups.entries()) {
    context.graph.checkpoints.add(x);
    const names = normNames(block);
    const [q, k, v] = context.linear(norm(x, names.attention), qkv); // [N, H·D], [N, K·D], [N, K·D]
    const mixed = context.attend(rotate(q), rotate(k), bySequence(v), { block }); // [B, T, H·D]
    const [attended] = context.linear(byRow(mixed), output); // [N, C]
    x = add(x, attended);
    const [gate, up] = context.linear(norm(x, names.feedForward), gateUp); // [N, F]
    const [fed] = context.linear(swiglu(gate, up), down); // [N, C]
    x = add(x, fed);
  }
  context.graph.checkpoints.add(x);
  return norm(x, FINAL_NORM);
}
