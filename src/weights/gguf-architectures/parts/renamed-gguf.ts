import type { StoredTensor } from "../../checkpoint.js";
import type { GgufMetadataReader } from "./metadata-reader.js";

/** Divisors of the rotary frequencies, [D/2] each: parts of the configuration that GGUF stores as tensors. */
export interface RotaryFactors {
  /** Llama 3's scaling. */
  readonly all?: Float32Array;
  /** LongRoPE (Ding et al. 2024): up to the length of the pretraining, and beyond. */
  readonly short?: Float32Array;
  readonly long?: Float32Array;
}

/** A GGUF model whose tensors have Hugging Face's names. */
export interface RenamedGguf {
  /** Entries below the architecture's name. */
  readonly metadata: GgufMetadataReader;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly rotaryFactors: RotaryFactors;
}
