import type { Architecture } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { preNormDecoder } from "./parts/decoder.js";
import { readDecoderConfig } from "./parts/decoder-config.js";
import { gatedFeedForward } from "./parts/gated-feed-forward.js";
import { groupedAttention } from "./parts/grouped-attention.js";
import { readRotary } from "./parts/rotary-tables.js";
import { rotation } from "./parts/rotation.js";

// Mistral (Jiang et al. 2023): Llama's blocks, in which a token may see a window of those before it.
export const mistral: Architecture = {
  modelTypes: ["mistral"],
  read: (json) => {
    const config = new ConfigReader(json);
    const decoder = readDecoderConfig(config, { maxPositions: 131_072 });
    const { dimensions, feedForward } = decoder;
    const rotate = rotation(readRotary(json), dimensions.headSize);
    // The first release's is the default; null means none.
    const window = config.optionalCount("sliding_window", 4096);
    const graph = preNormDecoder(decoder, (block, name) => ({
      attention: groupedAttention({ name: `${name}.self_attn`, dimensions, rotate, use: { block, window } }),
      feedForward: gatedFeedForward({ name: `${name}.mlp`, hidden: dimensions.hidden, feedForward }),
    }));
    return { ...graph, windows: Array.from({ length: dimensions.blocks }, () => window) };
  },
};
