import type { GgufArchitecture } from "./architecture.js";
import { decoderConfig, headSizeOf } from "./parts/decoder-config.js";
import { llamaNames } from "./parts/tensor-names.js";

const { attn_norm, attn_output, ffn_norm, ffn_down } = llamaNames.inner;

/** Phi-3 and 4: q, k and v in one matrix, gate and up in another, which is named `ffn_up`.   llama.cpp: conversion/phi.py */
export const phi3: GgufArchitecture = {
  name: "phi3",
  models: "Phi-3, Phi-4",
  modelTypes: ["phi3"],
  names: {
    ...llamaNames,
    inner: { attn_norm, attn_qkv: "self_attn.qkv_proj", attn_output, ffn_norm, ffn_up: "mlp.gate_up_proj", ffn_down },
  },
  config: (model) => {
    const { metadata } = model;
    const headSize = headSizeOf(model);
    const rotated = metadata.optionalCount("rope.dimension_count", headSize) ?? headSize; // of Phi-4 mini three quarters
    return {
      model_type: "phi3",
      architectures: ["Phi3ForCausalLM"],
      ...decoderConfig(model, rotated),
      partial_rotary_factor: rotated / headSize,
      original_max_position_embeddings: metadata.optionalCount("rope.scaling.original_context_length") ?? metadata.count("context_length"),
      hidden_act: "silu",
      // Phi-4 has none, which the converter writes as 0.
      sliding_window: metadata.countOrNone("attention.sliding_window") ?? null,
    };
  },
};
