import type { Architecture } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { qwenWindows } from "./parts/attention-windows.js";
import { preNormDecoder } from "./parts/decoder.js";
import { readDecoderConfig } from "./parts/decoder-config.js";
import { gatedFeedForward } from "./parts/gated-feed-forward.js";
import { groupedAttention } from "./parts/grouped-attention.js";
import { headNorm } from "./parts/head-norm.js";
import { readRotary } from "./parts/rotary-tables.js";
import { rotation } from "./parts/rotation.js";
import { rootMeanSquareNorm } from "./parts/sublayer.js";

// Qwen3 (Yang et al. 2025): Llama's blocks, the queries and keys of each head normalised before they are turned.
export const qwen3: Architecture = {
  modelTypes: ["qwen3"],
  read: (json) => {
    const config = new ConfigReader(json);
    const decoder = readDecoderConfig(config, { maxPositions: 32_768, headSize: 128 });
    const { dimensions, feedForward, epsilon } = decoder;
    const { heads, kvHeads, headSize, hidden, blocks } = dimensions;
    const hasBias = config.flag("attention_bias", false);
    const rotate = rotation(readRotary(json), headSize);
    const windows = qwenWindows(config, blocks);
    const graph = preNormDecoder(decoder, (block, layer) => {
      const name = `${layer}.self_attn`;
      const norms = {
        query: headNorm(heads, rootMeanSquareNorm(`${name}.q_norm`, headSize, epsilon)),
        key: headNorm(kvHeads, rootMeanSquareNorm(`${name}.k_norm`, headSize, epsilon)),
      };
      const use = { block, window: windows[block] };
      return {
        attention: groupedAttention({ name, dimensions, rotate, use, norms, biases: { qkv: hasBias, output: hasBias } }),
        feedForward: gatedFeedForward({ name: `${layer}.mlp`, hidden, feedForward }),
      };
    });
    return { ...graph, windows };
  },
};
