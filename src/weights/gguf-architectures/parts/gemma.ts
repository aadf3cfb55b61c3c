import type { Conversion } from "../architecture.js";
import type { GgufMetadataReader } from "./metadata-reader.js";
import type { RenamedGguf } from "./renamed-gguf.js";
import { llamaNames, type TensorNames } from "./tensor-names.js";

/** Blocks of Gemma 2 and 3 have a norm before and behind attention and feed-forward each. */
export const gemmaNames: TensorNames = {
  ...llamaNames,
  inner: {
    ...llamaNames.inner,
    post_attention_norm: "post_attention_layernorm",
    ffn_norm: "pre_feedforward_layernorm",
    post_ffw_norm: "post_feedforward_layernorm",
  },
};

/** The gain of a norm is 1 + w, and the converter stores it so.      llama.cpp: conversion/gemma.py, modify_tensors */
export function gemmaNorms(name: string): Conversion {
  return name.endsWith("norm.weight") ? { addend: -1 } : {};
}

/** The kinds of attention by block: every `period`-th sees all, or as the file says. */
export function layerTypes(metadata: GgufMetadataReader, defaultPeriod: number): string[] {
  const key = "attention.sliding_window_pattern";
  const pattern = metadata.value(key);
  const blocks = Array.from({ length: metadata.blocks() }, (_, block) => block);
  const kind = (sliding: boolean) => (sliding ? "sliding_attention" : "full_attention");
  if (!Array.isArray(pattern)) {
    const period = metadata.optionalCount(key) ?? defaultPeriod;
    return blocks.map((block) => kind((block + 1) % period !== 0));
  }
  if (pattern.length < blocks.length || pattern.some((value) => typeof value !== "boolean")) {
    throw metadata.invalid(key, `true or false for each of ${blocks.length} blocks`);
  }
  return blocks.map((block) => kind(pattern[block] === true));
}

/**
 * 1 / (the scale of attention scores)². The file does not have it: of each family the model with 27 billion weights alone, known
 * by its blocks, has another than the head size.                       llama.cpp: src/models/gemma2.cpp, gemma3.cpp
 */
export function queryScale({ metadata }: RenamedGguf, headSize: number, blocksOf27B: number): number {
  if (metadata.blocks() !== blocksOf27B) return headSize;
  return Math.floor(metadata.count("embedding_length") / metadata.count("attention.head_count"));
}
