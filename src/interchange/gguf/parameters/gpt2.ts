import { ConfigReader } from "../../../models/config-reader.js";
import { readGeluKind } from "../../../models/parts/gelu-kind.js";
import { float32, type GgufParameters, type ParameterSource, problemWhere, sizes, together } from "./parameters.js";

/** GPT-2.                                                                            llama.cpp: conversion/gpt2.py */
export function gpt2(source: ParameterSource): GgufParameters {
  const config = new ConfigReader(source.config);
  return together(
    sizes(source),
    { entries: [["attention.layer_norm_epsilon", float32(config.positive("layer_norm_epsilon", 1e-5))]] },
    problemWhere(
      !config.flag("scale_attn_weights", true) || config.flag("scale_attn_by_inverse_layer_idx", false),
      "its attention scores are scaled otherwise than by 1/√(head size), which llama.cpp takes for granted",
    ),
    problemWhere(
      readGeluKind(config, "activation_function", "gelu_new") !== "tanh",
      "its GELU is the exact one, where llama.cpp has that of the tangent",
    ),
  );
}
