import leven from "leven";
import { InputError } from "../errors.js";
import { type Architecture, isLanguageModel, type LanguageModelGraph, type ModelGraph } from "./architecture.js";
import { bert } from "./bert.js";
import { gemma2 } from "./gemma2.js";
import { gemma3, gemma3Text } from "./gemma3.js";
import { gpt2 } from "./gpt2.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { modernbert } from "./modernbert.js";
import { phi3 } from "./phi3.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";
import { roberta } from "./roberta.js";
import { smollm3 } from "./smollm3.js";

const architectures: readonly Architecture[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  phi3,
  gpt2,
  gemma2,
  gemma3Text,
  gemma3,
  bert,
  roberta,
  modernbert,
];

/**
 * The model that a `config.json` describes.
 *
 * @throws InputError naming the architecture and those that are supported.
 */
export function readModel(config: Readonly<Record<string, unknown>>): ModelGraph {
  const { model_type: named } = config;
  const modelType = typeof named === "string" ? named : (JSON.stringify(named) ?? "");
  const architecture = architectures.find(({ modelTypes }) => modelTypes.includes(modelType));
  if (architecture !== undefined) {
    requirePlainWeights(config);
    return architecture.read(config);
  }
  const supported = architectures.flatMap(({ modelTypes }) => modelTypes).sort((a, b) => leven(a, modelType) - leven(b, modelType));
  throw new InputError(`config.json: the architecture "${modelType}" is not supported. Supported are: ${supported.join(", ")}.`);
}

/** Files whose weights are codes with scales beside them (GPTQ, AWQ, bitsandbytes, fp8): their names and types are each tool's own. */
function requirePlainWeights({ quantization_config: quantised }: Readonly<Record<string, unknown>>): void {
  if (quantised === undefined || quantised === null) return;
  const method = (quantised as { readonly quant_method?: unknown }).quant_method;
  throw new InputError(
    `config.json: the weights are quantised (${String(method ?? "quantization_config")}), which is not supported in safetensors. Take the model ` +
      "that they were made of (--precision int8 or 4bit lowers its memory), or a GGUF of it.",
  );
}

/**
 * The same for a model that is to write text.
 *
 * @throws InputError for an encoder, with what it can do.
 */
export function readLanguageModel(config: Readonly<Record<string, unknown>>): LanguageModelGraph {
  const model = readModel(config);
  if (isLanguageModel(model)) return model;
  throw new InputError(
    `config.json: "${model.modelType}" is an encoder: it reads texts and does not write any. It can classify (--task classification) and turn ` +
      "sentences into vectors (lorikeet embed). To write text, choose a model that predicts the next token, such as smollm2-135m.",
  );
}
