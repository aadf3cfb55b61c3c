import type { GgufArchitecture } from "./architecture.js";
import { decoderConfig } from "./parts/decoder-config.js";
import { interleavedHeads } from "./parts/interleaved-heads.js";
import type { RenamedGguf } from "./parts/renamed-gguf.js";
import { llamaNames } from "./parts/tensor-names.js";

/** Llama and what is built like it: SmolLM2, TinyLlama, Mistral.                     llama.cpp: conversion/llama.py */
export const llama: GgufArchitecture = {
  name: "llama",
  models: "Llama, Mistral, SmolLM2, TinyLlama",
  modelTypes: ["llama", "mistral"],
  names: llamaNames,
  conversion: interleavedHeads,
  config: (model) => ({ ...kind(model), ...decoderConfig(model), hidden_act: "silu" }),
};

/** Llama, or Mistral where the file has a sliding window: llama.cpp's own converter writes none. */
function kind({ metadata, tensors }: RenamedGguf): Record<string, unknown> {
  const window = metadata.countOrNone("attention.sliding_window");
  if (window !== undefined) return { model_type: "mistral", architectures: ["MistralForCausalLM"], sliding_window: window };
  return {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    attention_bias: tensors.has("model.layers.0.self_attn.q_proj.bias"),
    mlp_bias: tensors.has("model.layers.0.mlp.gate_proj.bias"),
  };
}
