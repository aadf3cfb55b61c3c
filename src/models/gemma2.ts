import type { Architecture } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { attentionWindows } from "./parts/attention-windows.js";
import { buildGemma, readGemmaConfig } from "./parts/gemma.js";
import { groupedAttention } from "./parts/grouped-attention.js";
import { readRotary } from "./parts/rotary-tables.js";
import { rotation } from "./parts/rotation.js";

// Gemma 2 (Gemma Team 2024): every other block has a window, and scores and logits are capped. transformers' eager attention caps the
// scores, its sdpa attention leaves that out; the model was trained with the caps.
export const gemma2: Architecture = {
  modelTypes: ["gemma2"],
  read: (json) => {
    const config = new ConfigReader(json);
    const gemma = readGemmaConfig(config, "gemma2", { vocabulary: 256_000, maxPositions: 8192 });
    const { dimensions, scale, hasBias } = gemma;
    const rotate = rotation(readRotary(json), dimensions.headSize);
    const window = config.optionalCount("sliding_window", 4096);
    const windows = attentionWindows(config, { blocks: dimensions.blocks, window, slides: (block) => block % 2 === 0 });
    const softCap = config.optionalPositive("attn_logit_softcapping", 50);
    return buildGemma(gemma, {
      prefix: "model",
      windows,
      attention: (block, name) =>
        groupedAttention({
          name,
          dimensions,
          rotate,
          use: { block, scale, window: windows[block], softCap },
          biases: { qkv: hasBias, output: hasBias },
        }),
      logitSoftCap: config.optionalPositive("final_logit_softcapping", 30),
    });
  },
};
