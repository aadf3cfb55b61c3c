import type { GgufArchitecture } from "./architecture.js";
import { decoderConfig, headSizeOf } from "./parts/decoder-config.js";
import { gemmaNames, gemmaNorms, layerTypes, queryScale } from "./parts/gemma.js";

/** Gemma 2.                                                                          llama.cpp: conversion/gemma.py */
export const gemma2: GgufArchitecture = {
  name: "gemma2",
  models: "Gemma 2",
  modelTypes: ["gemma2"],
  names: gemmaNames,
  conversion: gemmaNorms,
  config: (model) => {
    const { metadata } = model;
    return {
      model_type: "gemma2",
      architectures: ["Gemma2ForCausalLM"],
      ...decoderConfig(model),
      hidden_activation: "gelu_pytorch_tanh",
      query_pre_attn_scalar: queryScale(model, headSizeOf(model), 46),
      sliding_window: metadata.optionalCount("attention.sliding_window") ?? 4096,
      layer_types: layerTypes(metadata, 2),
      attn_logit_softcapping: metadata.decimal("attn_logit_softcapping", 50),
      final_logit_softcapping: metadata.decimal("final_logit_softcapping", 30),
    };
  },
};
