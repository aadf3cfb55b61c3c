import type { GgufArchitecture } from "./architecture.js";
import { decoderConfig } from "./parts/decoder-config.js";
import { interleavedHeads } from "./parts/interleaved-heads.js";
import { llamaNames } from "./parts/tensor-names.js";

/** Every fourth block has no rotary embedding; the file does not say so.     llama.cpp: src/models/smollm3.cpp, load_arch_hparams */
const NO_ROPE_INTERVAL = 4;

/** SmolLM3: interleaved as Llama, in blocks without rotary embedding too.           llama.cpp: conversion/smollm.py */
export const smollm3: GgufArchitecture = {
  name: "smollm3",
  models: "SmolLM3",
  modelTypes: ["smollm3"],
  names: llamaNames,
  conversion: interleavedHeads,
  config: (model) => ({
    model_type: "smollm3",
    architectures: ["SmolLM3ForCausalLM"],
    ...decoderConfig(model),
    hidden_act: "silu",
    attention_bias: model.tensors.has("model.layers.0.self_attn.q_proj.bias"),
    mlp_bias: model.tensors.has("model.layers.0.mlp.gate_proj.bias"),
    use_sliding_window: false,
    no_rope_layer_interval: NO_ROPE_INTERVAL,
    no_rope_layers: Array.from({ length: model.metadata.blocks() }, (_, block) => Number((block + 1) % NO_ROPE_INTERVAL !== 0)),
  }),
};
