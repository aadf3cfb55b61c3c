import type { GgufArchitecture } from "./architecture.js";
import { decoderConfig } from "./parts/decoder-config.js";
import { llamaNames } from "./parts/tensor-names.js";

/** Qwen 2 and 2.5: rows of q and k as they were, biases at q, k and v.                llama.cpp: conversion/qwen.py */
export const qwen2: GgufArchitecture = {
  name: "qwen2",
  models: "Qwen 2, Qwen 2.5",
  modelTypes: ["qwen2"],
  names: llamaNames,
  config: (model) => ({
    model_type: "qwen2",
    architectures: ["Qwen2ForCausalLM"],
    ...decoderConfig(model),
    hidden_act: "silu",
    use_sliding_window: false,
  }),
};
