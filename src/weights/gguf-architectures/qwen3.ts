import type { GgufArchitecture } from "./architecture.js";
import { decoderConfig } from "./parts/decoder-config.js";
import { headNormNames, llamaNames } from "./parts/tensor-names.js";

/** Qwen 3, dense: norms of the heads of q and k.                                      llama.cpp: conversion/qwen.py */
export const qwen3: GgufArchitecture = {
  name: "qwen3",
  models: "Qwen 3",
  modelTypes: ["qwen3"],
  names: { ...llamaNames, inner: { ...llamaNames.inner, ...headNormNames } },
  config: (model) => ({
    model_type: "qwen3",
    architectures: ["Qwen3ForCausalLM"],
    ...decoderConfig(model),
    hidden_act: "silu",
    attention_bias: model.tensors.has("model.layers.0.self_attn.q_proj.bias"),
    use_sliding_window: false,
  }),
};
