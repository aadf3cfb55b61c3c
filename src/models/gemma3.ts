import type { Architecture, CheckpointForm, LanguageModelGraph } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { attentionWindows } from "./parts/attention-windows.js";
import { buildGemma, type GemmaOwn, offsetNorm, readGemmaConfig } from "./parts/gemma.js";
import { groupedAttention } from "./parts/grouped-attention.js";
import { headNorm } from "./parts/head-norm.js";
import { type Rotary, readRotary } from "./parts/rotary-tables.js";
import { rotation } from "./parts/rotation.js";

// Gemma 3 (Gemma Team 2025): five of six blocks have a window and rotary frequencies of their own, and each head of the queries and keys
// is normalised. transformers' attention knows no soft cap here, whatever `attn_logit_softcapping` says.

type Json = Readonly<Record<string, unknown>>;

/** The model of text alone. */
export const gemma3Text: Architecture = {
  modelTypes: ["gemma3_text"],
  read: (json) => {
    const logitSoftCap = new ConfigReader(json).optionalPositive("final_logit_softcapping");
    return build(json, "gemma3_text", { prefix: "model", logitSoftCap });
  },
};

/** The text part of the model of texts and images, whose logits transformers does not cap. */
export const gemma3: Architecture = {
  modelTypes: ["gemma3"],
  read: (json) => {
    const config = new ConfigReader(json);
    const text = { ...config.record("text_config"), tie_word_embeddings: config.flag("tie_word_embeddings", true) };
    const vision = new ConfigReader(config.record("vision_config") ?? {}, "config.json: vision_config");
    return { ...build(text, "gemma3", { prefix: "model.language_model", checkpointForm }), otherLayers: layersForImages(vision) };
  },
};

/** The layers of the tower for images, SigLIP (Zhai et al. 2023), some of which have the last names of the text's. */
function layersForImages(vision: ConfigReader): readonly { readonly name: string }[] {
  const blocks = vision.count("num_hidden_layers", 12);
  const parts = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"];
  const ofBlock = (block: number) => parts.map((part) => ({ name: `model.vision_tower.encoder.layers.${block}.${part}` }));
  return Array.from({ length: blocks }, (_, block) => ofBlock(block)).flat();
}

/** What files have for the names of transformers' modules. */
const checkpointForm: CheckpointForm = {
  prefixes: [
    ["model.language_model.", "language_model.model."],
    ["lm_head.", "language_model.lm_head."],
  ],
};

function build(json: Json, modelType: string, own: Omit<GemmaOwn, "attention" | "windows">): LanguageModelGraph {
  const config = new ConfigReader(json);
  const gemma = readGemmaConfig(config, modelType, { vocabulary: 262_208, maxPositions: 131_072 });
  const { dimensions, scale, hasBias, epsilon } = gemma;
  const { blocks, heads, kvHeads, headSize } = dimensions;
  const pattern = config.count("sliding_window_pattern", 6);
  const window = config.optionalCount("sliding_window", 4096);
  const windows = attentionWindows(config, { blocks, window, slides: (block) => (block + 1) % pattern !== 0 });
  const rotaries = readRotaries(json, dimensions.maxPositions);
  const [rotateAll, rotateWindow] = [rotation(rotaries.full, headSize), rotation(rotaries.sliding, headSize)];
  const norm = (name: string, heads: number) => headNorm(heads, offsetNorm(name, headSize, epsilon));
  return buildGemma(gemma, {
    ...own,
    windows,
    attention: (block, name) =>
      groupedAttention({
        name,
        dimensions,
        rotate: windows[block] === undefined ? rotateAll : rotateWindow,
        use: { block, scale, window: windows[block] },
        biases: { qkv: hasBias, output: hasBias },
        norms: { query: norm(`${name}.q_norm`, heads), key: norm(`${name}.k_norm`, kvHeads) },
      }),
  });
}

/**
 * The frequencies of blocks that see all and of those with a window. In the new spelling each has a record of `rope_parameters`; in the
 * old one `rope_scaling` belongs to those that see all.
 */
export function readRotaries(json: Json, maxPositions: number): { readonly full: Rotary; readonly sliding: Rotary } {
  const { full_attention, sliding_attention } = new ConfigReader(json).record("rope_parameters") ?? {};
  const read = (rope_theta: unknown, rope_parameters: unknown, theta: number) =>
    readRotary({ rope_theta, rope_parameters, max_position_embeddings: maxPositions }, { theta });
  return {
    full: read(json.rope_theta, full_attention ?? json.rope_scaling, 1_000_000),
    sliding: read(json.rope_local_base_freq, sliding_attention, 10_000),
  };
}
