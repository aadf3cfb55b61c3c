import { InputError } from "../../errors.js";
import type { Tensor } from "../../graph/graph.js";
import { add } from "../../ops/add.js";
import { geglu } from "../../ops/geglu.js";
import type { GeluKind } from "../../ops/gelu.js";
import { mul } from "../../ops/mul.js";
import { rmsNorm } from "../../ops/rms-norm.js";
import type { CheckpointForm, LanguageModelGraph, ModelContext } from "../architecture.js";
import type { ConfigReader } from "../config-reader.js";
import { requireCausalSight } from "./causal-sight.js";
import type { DecoderConfig } from "./decoder-config.js";
import { decoderGraph } from "./decoder-graph.js";
import { gatedFeedForward } from "./gated-feed-forward.js";
import { readGeluKind } from "./gelu-kind.js";
import { scoreHead } from "./label-scores.js";
import { inSequence, type Sublayer } from "./sublayer.js";

// What Gemma 2 and 3 share (Gemma Team 2024 and 2025): scaled embeddings, norms before and behind each sublayer, GeGLU.

export interface GemmaConfig extends DecoderConfig {
  readonly activation: GeluKind;
  /** Factor on the scores. */
  readonly scale: number;
  /** q, k, v and the output of attention have a bias. */
  readonly hasBias: boolean;
}

/** The defaults of both in transformers are the sizes of Gemma 2 2B, but for these. */
interface GemmaDefaults {
  readonly vocabulary: number;
  readonly maxPositions: number;
}

/** The fields of config.json that both generations have. @throws InputError at values that cannot be, or are not supported. */
export function readGemmaConfig(config: ConfigReader, modelType: string, defaults: GemmaDefaults): GemmaConfig {
  const heads = config.count("num_attention_heads", 8);
  const kvHeads = config.count("num_key_value_heads", 4);
  const headSize = config.count("head_dim", 256);
  if (heads % kvHeads !== 0) throw new InputError(`config.json: ${heads} heads cannot share ${kvHeads} key-value heads evenly`);
  if (headSize % 2 !== 0) throw new InputError(`config.json: head size ${headSize} is odd; rotary embeddings turn pairs`);
  requireCausalSight(config, modelType);
  return {
    modelType,
    dimensions: {
      vocabulary: config.count("vocab_size", defaults.vocabulary),
      hidden: config.count("hidden_size", 2304),
      blocks: config.count("num_hidden_layers", 26),
      heads,
      kvHeads,
      headSize,
      maxPositions: config.count("max_position_embeddings", defaults.maxPositions),
    },
    feedForward: config.count("intermediate_size", 9216),
    epsilon: config.positive("rms_norm_eps", 1e-6),
    activation: readGeluKind(config, "hidden_activation", "gelu_pytorch_tanh"),
    scale: config.positive("query_pre_attn_scalar", 256) ** -0.5,
    hasBias: config.flag("attention_bias", false),
    tied: config.flag("tie_word_embeddings", true),
    initialDeviation: config.positive("initializer_range", 0.02),
  };
}

/** What a generation has for itself. */
export interface GemmaOwn {
  /** What precedes the names of all weights but an untied head's: "model". */
  readonly prefix: string;
  /** The attention of a block whose module has this name. */
  readonly attention: (block: number, name: string) => Sublayer;
  readonly logitSoftCap?: number | undefined;
  readonly windows: readonly (number | undefined)[];
  readonly checkpointForm?: CheckpointForm;
}

/** The model of a generation: its configuration, and what it alone has. */
export function buildGemma(
  config: GemmaConfig,
  { prefix, attention, logitSoftCap, windows, checkpointForm = {} }: GemmaOwn,
): LanguageModelGraph {
  const { dimensions, feedForward, activation, epsilon } = config;
  const { vocabulary, hidden } = dimensions;
  const norm = (name: string) => offsetNorm(name, hidden, epsilon);
  const blocks = Array.from({ length: dimensions.blocks }, (_, block) => {
    const name = `${prefix}.layers.${block}`;
    const activate = (gate: Tensor, up: Tensor) => geglu(gate, up, activation);
    const mlp = gatedFeedForward({ name: `${name}.mlp`, hidden, feedForward, activate });
    return [
      inSequence(norm(`${name}.input_layernorm`), attention(block, `${name}.self_attn`), norm(`${name}.post_attention_layernorm`)),
      inSequence(norm(`${name}.pre_feedforward_layernorm`), mlp, norm(`${name}.post_feedforward_layernorm`)),
    ];
  });
  const embedding = `${prefix}.embed_tokens.weight`;
  const graph = decoderGraph({
    modelType: config.modelType,
    dimensions,
    tables: [[embedding, [vocabulary, hidden]]],
    embed: (context) => scaled(context.embed(embedding, [vocabulary, hidden]), hidden, context),
    blocks,
    lastNorm: norm(`${prefix}.norm`),
    tied: config.tied,
    classificationHead: (task, labels) => scoreHead(task, hidden, labels, config.initialDeviation),
  });
  return { ...graph, checkpointForm, logitSoftCap, windows };
}

/** Rows of the table times √C. transformers rounds the factor to the type of the weights; here all is computed in float32. */
function scaled(rows: Tensor, hidden: number, { graph }: ModelContext): Tensor {
  return mul(rows, graph.scalar(Math.sqrt(hidden))); // [N, C]
}

/** Gemma's RMSNorm, whose checkpoints have the gain less one: x · s · (1 + w), with `size` values. */
export function offsetNorm(name: string, size: number, epsilon: number): Sublayer {
  const offset = `${name}.weight`;
  return {
    linearGroups: [],
    weights: [[offset, [size]]],
    apply: (x, { graph, weight }) => rmsNorm(x, add(weight(offset, [size]), graph.scalar(1)), epsilon),
  };
}
