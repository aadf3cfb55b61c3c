import { InputError } from "../../errors.js";
import type { StoredTensor } from "../checkpoint.js";
import type { GgufArchitecture } from "./architecture.js";
import { gemma2 } from "./gemma2.js";
import { gemma3 } from "./gemma3.js";
import { gpt2 } from "./gpt2.js";
import { llama } from "./llama.js";
import { GgufMetadataReader } from "./parts/metadata-reader.js";
import { readRotaryFactors, rotaryFactorTensors } from "./parts/rotary.js";
import { huggingFaceName } from "./parts/tensor-names.js";
import { phi3 } from "./phi3.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";
import { smollm3 } from "./smollm3.js";

export const ggufArchitectures: readonly GgufArchitecture[] = [llama, qwen2, qwen3, gemma2, gemma3, gpt2, phi3, smollm3];

/** A model's tensors under Hugging Face's names, marked with what reading undoes, and its `config.json`. */
export interface HuggingFaceForm {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * What Hugging Face's checkpoint of a GGUF model would be.
 *
 * @throws InputError where the architecture is not read, naming those that are; where metadata and tensors contradict each other.
 */
export async function huggingFaceForm(
  file: string,
  metadata: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, StoredTensor>,
): Promise<HuggingFaceForm> {
  const architecture = findArchitecture(file, metadata);
  const reader = new GgufMetadataReader(file, architecture.name, metadata);
  refuseOtherArithmetic(reader);
  const renamed = rename(architecture, reader, tensors);
  const rotaryFactors = await readRotaryFactors(file, tensors);
  return { tensors: renamed, config: architecture.config({ metadata: reader, tensors: renamed, rotaryFactors }) };
}

function findArchitecture(file: string, metadata: Readonly<Record<string, unknown>>): GgufArchitecture {
  const kind = metadata["general.type"] ?? "model";
  if (kind !== "model") {
    throw new InputError(`${file} holds no model: its general.type is ${JSON.stringify(kind)}. Give the file of the model itself.`);
  }
  const name = metadata["general.architecture"];
  const found = ggufArchitectures.find((architecture) => architecture.name === name);
  if (found !== undefined) return found;
  const read = ggufArchitectures.map((architecture) => `${architecture.name} (${architecture.models})`).join(", ");
  throw new InputError(`${file}: the architecture ${JSON.stringify(name)} is not supported in a GGUF. Supported are: ${read}.`);
}

/** Entries that change what a model computes and that no converter writes for these architectures; 0 means "none". */
const arithmeticKeys = [
  "attention.scale",
  "attention.clamp_kqv",
  "attention.max_alibi_bias",
  "attention.temperature_scale",
  "logit_scale",
  "residual_scale",
  "embedding_scale",
];

function refuseOtherArithmetic(reader: GgufMetadataReader): void {
  if (reader.countOrNone("expert_count") !== undefined) {
    throw reader.invalid("expert_count", "none: a mixture of experts cannot be fine-tuned here. Use a dense model");
  }
  if (reader.value("attention.causal") === false) {
    throw reader.invalid("attention.causal", "true: a model that sees what comes later is not supported in a GGUF");
  }
  for (const key of arithmeticKeys) {
    if ((reader.optionalNumber(key) ?? 0) !== 0) throw reader.invalid(key, "none: models that compute with it are not supported");
  }
}

function rename(
  architecture: GgufArchitecture,
  reader: GgufMetadataReader,
  tensors: ReadonlyMap<string, StoredTensor>,
): ReadonlyMap<string, StoredTensor> {
  const renamed = new Map<string, StoredTensor>();
  const unknown: string[] = [];
  for (const tensor of tensors.values()) {
    const name = huggingFaceName(architecture.names, tensor.name);
    if (name !== undefined) renamed.set(name, convert(reader, tensor, name, architecture.conversion?.(name, reader)));
    else if (!rotaryFactorTensors.has(tensor.name)) unknown.push(tensor.name);
  }
  if (unknown.length > 0) {
    throw new InputError(
      `${reader.file}: ${unknown.length} tensors are not part of a model of architecture ${architecture.name}, such as ${unknown.slice(0, 3).join(", ")}.`,
    );
  }
  return renamed;
}

function convert({ file }: GgufMetadataReader, tensor: StoredTensor, name: string, conversion: GgufConversion): StoredTensor {
  const heads = conversion?.interleavedHeads;
  if (heads !== undefined && (tensor.shape[0] ?? 0) % (2 * heads) !== 0) {
    throw new InputError(`${file}: tensor ${tensor.name} has ${tensor.shape[0]} rows, which ${heads} heads of an even size cannot share.`);
  }
  return { ...tensor, name, ...conversion };
}

type GgufConversion = ReturnType<NonNullable<GgufArchitecture["conversion"]>> | undefined;
