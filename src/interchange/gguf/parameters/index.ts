import { gemma2, gemma3 } from "./gemma.js";
import { gpt2 } from "./gpt2.js";
import { llama, phi3, qwen, smollm3 } from "./llama.js";
import type { GgufParameters, ParameterSource } from "./parameters.js";

/** By the name of the architecture in GGUF: what its converter writes of the configuration, and reading takes back. */
export const parametersOf: Readonly<Record<string, (source: ParameterSource) => GgufParameters>> = {
  llama,
  qwen2: qwen,
  qwen3: qwen,
  smollm3,
  phi3,
  gemma2,
  gemma3,
  gpt2,
};
