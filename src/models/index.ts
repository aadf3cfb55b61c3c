import leven from "leven";
import { InputError } from "../errors.js";
import type { Architecture, LanguageModelGraph } from "./architecture.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";

const architectures: readonly Architecture[] = [llama, mistral, qwen2, qwen3];

/**
 * The model that a `config.json` describes.
 *
 * @throws InputError naming the architecture and those that are supported.
 */
export function readModel(config: Readonly<Record<string, unknown>>): LanguageModelGraph {
  const modelType = String(config.model_type);
  const architecture = architectures.find(({ modelTypes }) => modelTypes.includes(modelType));
  if (architecture !== undefined) return architecture.read(config);
  const supported = architectures.flatMap(({ modelTypes }) => modelTypes).sort((a, b) => leven(a, modelType) - leven(b, modelType));
  throw new InputError(`config.json: the architecture "${modelType}" is not supported. Supported are: ${supported.join(", ")}.`);
}
