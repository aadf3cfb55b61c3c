import type { Architecture } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { preNormDecoder } from "./parts/decoder.js";
import { readDecoderConfig } from "./parts/decoder-config.js";
import { gatedFeedForward } from "./parts/gated-feed-forward.js";
import { groupedAttention } from "./parts/grouped-attention.js";
import { readRotary } from "./parts/rotary-tables.js";
import { rotation } from "./parts/rotation.js";

// Llama (Touvron et al. 2023): pre-norm blocks of rotary grouped-query attention and SwiGLU. SmolLM2, Llama 2 and 3, TinyLlama differ by
// configuration only.
//
// B batch, T tokens, N = B·T rows, C hidden, H heads, K key-value heads, D head size, F feed-forward, V vocabulary
export const llama: Architecture = {
  modelTypes: ["llama"],
  read: (json) => {
    const config = new ConfigReader(json);
    const decoder = readDecoderConfig(config, { maxPositions: 2048 });
    const { dimensions, feedForward } = decoder;
    const attentionBias = config.flag("attention_bias", false);
    const hasBias = config.flag("mlp_bias", false);
    const rotate = rotation(readRotary(json), dimensions.headSize);
    return preNormDecoder(decoder, (block, name) => ({
      attention: groupedAttention({
        name: `${name}.self_attn`,
        dimensions,
        rotate,
        use: { block },
        biases: { qkv: attentionBias, output: attentionBias },
      }),
      feedForward: gatedFeedForward({ name: `${name}.mlp`, hidden: dimensions.hidden, feedForward, hasBias }),
    }));
  },
};
