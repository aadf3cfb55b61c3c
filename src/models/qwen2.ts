import type { Architecture } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { qwenWindows } from "./parts/attention-windows.js";
import { preNormDecoder } from "./parts/decoder.js";
import { readDecoderConfig } from "./parts/decoder-config.js";
import { gatedFeedForward } from "./parts/gated-feed-forward.js";
import { groupedAttention } from "./parts/grouped-attention.js";
import { readRotary } from "./parts/rotary-tables.js";
import { rotation } from "./parts/rotation.js";

// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama's blocks with a bias in q, k and v.
export const qwen2: Architecture = {
  modelTypes: ["qwen2"],
  read: (json) => {
    const config = new ConfigReader(json);
    const decoder = readDecoderConfig(config, { maxPositions: 32_768 });
    const { dimensions, feedForward } = decoder;
    const rotate = rotation(readRotary(json), dimensions.headSize);
    const windows = qwenWindows(config, dimensions.blocks);
    const graph = preNormDecoder(decoder, (block, name) => ({
      attention: groupedAttention({
        name: `${name}.self_attn`,
        dimensions,
        rotate,
        use: { block, window: windows[block] },
        biases: { qkv: true },
      }),
      feedForward: gatedFeedForward({ name: `${name}.mlp`, hidden: dimensions.hidden, feedForward }),
    }));
    return { ...graph, windows };
  },
};
