import type { GgufArchitecture } from "./architecture.js";
import { tokenIds, vocabularySize } from "./parts/decoder-config.js";

/** GPT-2. Its matrices, [in, out] in Hugging Face's checkpoint, are stored [out, in].   llama.cpp: conversion/gpt2.py */
export const gpt2: GgufArchitecture = {
  name: "gpt2",
  models: "GPT-2",
  modelTypes: ["gpt2"],
  names: {
    outer: {
      token_embd: "transformer.wte",
      position_embd: "transformer.wpe",
      output_norm: "transformer.ln_f",
      output: "lm_head",
    },
    blocks: "transformer.h",
    inner: {
      attn_norm: "ln_1",
      attn_qkv: "attn.c_attn",
      attn_output: "attn.c_proj",
      ffn_norm: "ln_2",
      ffn_up: "mlp.c_fc",
      ffn_down: "mlp.c_proj",
    },
  },
  config: (model) => {
    const { metadata, tensors } = model;
    const hidden = metadata.count("embedding_length");
    const inner = metadata.count("feed_forward_length");
    return {
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      n_embd: hidden,
      n_layer: metadata.blocks(),
      n_head: metadata.count("attention.head_count"),
      n_inner: inner === 4 * hidden ? null : inner,
      n_positions: metadata.count("context_length"),
      vocab_size: vocabularySize(model, "transformer.wte.weight"),
      layer_norm_epsilon: metadata.decimal("attention.layer_norm_epsilon", 1e-5),
      activation_function: "gelu_new",
      // Files of 2024 hold the embedding a second time, as the head.
      tie_word_embeddings: !tensors.has("lm_head.weight"),
      ...tokenIds(model),
    };
  },
};
