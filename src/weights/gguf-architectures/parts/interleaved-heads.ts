import type { Conversion } from "../architecture.js";
import type { GgufMetadataReader } from "./metadata-reader.js";

/**
 * The converter interleaves the two halves of each head's rows of q and k, weights and biases alike, where llama.cpp turns
 * neighbours into rotary pairs.                                                  llama.cpp: conversion/llama.py, `permute`
 */
export function interleavedHeads(name: string, metadata: GgufMetadataReader): Conversion {
  if (name.includes(".self_attn.q_proj.")) return { interleavedHeads: metadata.count("attention.head_count") };
  if (!name.includes(".self_attn.k_proj.")) return {};
  return { interleavedHeads: metadata.optionalCount("attention.head_count_kv") ?? metadata.count("attention.head_count") };
}
