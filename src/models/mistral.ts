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
    const { feedForward } = decoder;
    // Within its window, a sliding window sees what full attention sees.
    const window = config.optionalCount("sliding_window", 4096) ?? decoder.dimensions.maxPositions;
    const dimensions = { ...decoder.dimensions, maxPositions: Math.min(decoder.dimensions.maxPositions, window) };
    const rotate = rotation(readRotary(json), dimensions.headSize);
    return preNormDecoder({ ...decoder, dimensions }, (block, name) => ({
      attention: groupedAttention({ name: `${name}.self_attn`, dimensions, rotate, use: { block } }),
      feedForward: gatedFeedForward({ name: `${name}.mlp`, hidden: dimensions.hidden, feedForward }),
    }));
  },
};
