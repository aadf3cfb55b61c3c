import { InputError } from "../../errors.js";
import type { ModelDimensions } from "../architecture.js";
import type { ConfigReader } from "../config-reader.js";
import { requireCausalSight } from "./causal-sight.js";

/** What a decoder of Llama's build is made of, but for its attention's ways. */
export interface DecoderConfig {
  readonly modelType: string;
  readonly dimensions: ModelDimensions;
  readonly feedForward: number;
  readonly epsilon: number;
  /** The output projection is the embedding table. */
  readonly tied: boolean;
  /** Standard deviation of fresh weights. */
  readonly initialDeviation: number;
}

/** What a configuration leaves out has its architecture's default. */
export interface DecoderDefaults {
  readonly maxPositions: number;
  /** Hidden size / heads, where the architecture has no number of its own. */
  readonly headSize?: number;
  readonly epsilon?: number;
  readonly tied?: boolean;
}

/** Reads the fields that decoders of Llama's build share. Throws InputError where they do not fit together. */
export function readDecoderConfig(config: ConfigReader, defaults: DecoderDefaults): DecoderConfig {
  const modelType = config.text("model_type");
  requireCausalSight(config, modelType);
  const hidden = config.count("hidden_size");
  const heads = config.count("num_attention_heads");
  const kvHeads = config.count("num_key_value_heads", heads);
  const headSize = config.count("head_dim", defaults.headSize ?? hidden / heads);
  const activation = config.text("hidden_act", "silu");
  if (activation !== "silu") throw new InputError(`config.json: "hidden_act" is "${activation}"; a model of type ${modelType} has "silu"`);
  if (heads % kvHeads !== 0) throw new InputError(`config.json: ${heads} heads cannot share ${kvHeads} key-value heads evenly`);
  if (headSize % 2 !== 0) throw new InputError(`config.json: head size ${headSize} is odd; rotary embeddings turn pairs`);
  return {
    modelType,
    dimensions: {
      vocabulary: config.count("vocab_size"),
      hidden,
      blocks: config.count("num_hidden_layers"),
      heads,
      kvHeads,
      headSize,
      maxPositions: config.count("max_position_embeddings", defaults.maxPositions),
    },
    feedForward: config.count("intermediate_size"),
    epsilon: config.positive("rms_norm_eps", defaults.epsilon ?? 1e-6),
    tied: config.flag("tie_word_embeddings", defaults.tied ?? false),
    initialDeviation: config.positive("initializer_range", 0.02),
  };
}
