import { InputError } from "../errors.js";
import type { Architecture } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { attentionWindows } from "./parts/attention-windows.js";
import { preNormDecoder } from "./parts/decoder.js";
import { readDecoderConfig } from "./parts/decoder-config.js";
import { gatedFeedForward } from "./parts/gated-feed-forward.js";
import { groupedAttention } from "./parts/grouped-attention.js";
import { readRotary } from "./parts/rotary-tables.js";
import { noRotation, rotation } from "./parts/rotation.js";

// SmolLM3 (Bakouch et al. 2025): Llama's blocks, of which every fourth knows no positions (NoPE: Yang et al. 2025, "Rope to Nope").
export const smollm3: Architecture = {
  modelTypes: ["smollm3"],
  read: (json) => {
    const config = new ConfigReader(json);
    const decoder = readDecoderConfig(config, { maxPositions: 32_768, tied: true });
    const { dimensions, feedForward } = decoder;
    const { blocks, hidden, headSize } = dimensions;
    const turned = turnedBlocks(config, blocks);
    const windows = attentionWindows(config, {
      blocks,
      window: config.flag("use_sliding_window", false) ? config.optionalCount("sliding_window") : undefined,
      slides: (block) => !turned[block],
    });
    const attentionBias = config.flag("attention_bias", false);
    const hasBias = config.flag("mlp_bias", false);
    const rotate = rotation(readRotary(json, rotaryDefaults), headSize);
    const graph = preNormDecoder(decoder, (block, name) => ({
      attention: groupedAttention({
        name: `${name}.self_attn`,
        dimensions,
        rotate: turned[block] ? rotate : noRotation,
        use: { block, window: windows[block] },
        biases: { qkv: attentionBias, output: attentionBias },
      }),
      feedForward: gatedFeedForward({ name: `${name}.mlp`, hidden, feedForward, hasBias }),
    }));
    return { ...graph, windows };
  },
};

/** What a configuration leaves out. */
export const rotaryDefaults = { theta: 2_000_000 };

/** The blocks that turn their heads: those with a 1 in `no_rope_layers`, or all but each `no_rope_layer_interval`-th. */
export function turnedBlocks(config: ConfigReader, blocks: number): readonly boolean[] {
  const interval = config.count("no_rope_layer_interval", 4);
  const listed = config.list("no_rope_layers") ?? Array.from({ length: blocks }, (_, block) => Number((block + 1) % interval !== 0));
  if (listed.length === blocks && listed.every((turns) => turns === 0 || turns === 1)) return listed.map((turns) => turns === 1);
  throw new InputError(
    `config.json: "no_rope_layers" must list ${blocks} numbers, 1 for a layer with rotary embeddings and 0 for one without`,
  );
}
