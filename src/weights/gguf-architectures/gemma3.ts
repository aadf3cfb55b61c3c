import type { GgufArchitecture } from "./architecture.js";
import { decoderConfig, headSizeOf } from "./parts/decoder-config.js";
import { gemmaNames, gemmaNorms, layerTypes, queryScale } from "./parts/gemma.js";
import { headNormNames } from "./parts/tensor-names.js";

/** The text part of Gemma 3; a vision part is a file of its own.                     llama.cpp: conversion/gemma.py */
export const gemma3: GgufArchitecture = {
  name: "gemma3",
  models: "Gemma 3",
  modelTypes: ["gemma3_text", "gemma3"],
  names: { ...gemmaNames, inner: { ...gemmaNames.inner, ...headNormNames } },
  conversion: gemmaNorms,
  config: (model) => {
    const { metadata } = model;
    const window = metadata.countOrNone("attention.sliding_window");
    return {
      model_type: "gemma3_text",
      architectures: ["Gemma3ForCausalLM"],
      // The scaling of the rotary embedding is that of blocks that see all.
      ...decoderConfig(model),
      rope_local_base_freq: metadata.decimal("rope.freq_base_swa", 10_000),
      hidden_activation: "gelu_pytorch_tanh",
      query_pre_attn_scalar: queryScale(model, headSizeOf(model), 62),
      sliding_window: window ?? null,
      layer_types: window === undefined ? Array.from({ length: metadata.blocks() }, () => "full_attention") : layerTypes(metadata, 6),
      attn_logit_softcapping: null,
      final_logit_softcapping: metadata.decimal("final_logit_softcapping") ?? null,
    };
  },
};
