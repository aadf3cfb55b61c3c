import { InputError } from "../errors.js";
import { HEAD_WEIGHT } from "../models/architecture.js";
import type { Checkpoint } from "../weights/checkpoint.js";
import type { Adapter, AdapterConfig, AdapterLayer, TrainedTensor } from "./adapter.js";
import { parameterName } from "./layout.js";
import { strengthOf } from "./spec.js";
import { HEAD } from "./tables.js";
import { targetTest } from "./target-modules.js";
import { holdsTokens } from "./trained-tokens.js";
import { variantOf } from "./variants/index.js";
import { pairFile } from "./variants/pair-file.js";
import type { ShapedValues } from "./variants/variant.js";
import { moduleOf } from "./whole-tensors.js";

// The tensors of adapter_model.safetensors, by the names that PEFT gives them.

/** What PEFT puts before what belongs to the model as a whole. */
const MODEL = "base_model.";
/** What it puts before every module's path. Files of other tools leave it out; both are read, this is written. */
const PREFIX = `${MODEL}model.`;

/** Where PEFT keeps the tensors of a layer that it has put an adapter beside. */
const BASE_LAYER = ".base_layer.";
const BASE_WEIGHT = `${BASE_LAYER}weight`;

/** A tensor as it is written: F32, row-major, under PEFT's name. */
export type PeftTensor = TrainedTensor;

const fileOf = ({ method }: Pick<AdapterConfig, "method">) => variantOf(method).file ?? pairFile(variantOf(method));

/** Values that a file holds of a layer alone. */
export function valuesIn(layer: AdapterLayer, config: Pick<AdapterConfig, "method" | "settings">): number {
  return [
    ...fileOf(config)
      .tensors(layer, config.settings ?? {})
      .values(),
  ].reduce((sum, { values }) => sum + values.length, 0);
}

/** Values that an adapter stores. */
export function parameterCount(adapter: Adapter): number {
  return peftTensors(adapter).reduce((sum, { values }) => sum + values.length, 0);
}

/** The tensors of an adapter in the order of their names. */
export function peftTensors({ config, layers, trained = [] }: Adapter): PeftTensor[] {
  const file = fileOf(config);
  const named = (tensors: ReadonlyMap<string, ShapedValues>, nameOf: (name: string) => string) =>
    [...tensors].map(([name, tensor]): PeftTensor => ({ name: nameOf(name), ...tensor }));
  const own = layers.flatMap((layer) =>
    named(file.tensors(layer, config.settings ?? {}), (name) => PREFIX + parameterName(layer.name, name)),
  );
  const shared = named(file.sharedTensors(layers), (name) => MODEL + name);
  const adapted = new Set(layers.map(({ name }) => name));
  const whole = trained.map((tensor) => ({ ...tensor, name: PREFIX + nameBeside(tensor.name, adapted) }));
  return [...own, ...shared, ...whole].sort((x, y) => (x.name < y.name ? -1 : 1));
}

/** The name of a tensor of the model, which may belong to an adapted layer. */
function nameBeside(tensor: string, adapted: ReadonlySet<string>): string {
  const module = moduleOf(tensor);
  return adapted.has(module) ? `${module}${BASE_LAYER}${tensor.slice(module.length + 1)}` : tensor;
}

/**
 * The adapter of a configuration and its tensors (F32, F16 or BF16). Throws one InputError with everything that does not fit together: a
 * tensor that is none of the variant's, a matrix without its partner, a shape that contradicts the rank, a layer that the configuration does not mean,
 * values that are not finite.
 */
export async function readPeftTensors(config: AdapterConfig, checkpoint: Checkpoint, file: string): Promise<Adapter> {
  const form = fileOf(config);
  const { found, whole, shared, problems } = sortOut(checkpoint, config, form);
  const meant = targetTest(config);
  const read = async (key: string): Promise<ShapedValues> => {
    const values = await checkpoint.readFloat32(key);
    problems.push(...notFinite(key, values));
    return { shape: checkpoint.tensors.get(key)?.shape ?? [], values };
  };
  const readAll = async (keys: ReadonlyMap<string, string>) => {
    const tensors = new Map<string, ShapedValues>();
    for (const [parameter, key] of keys) tensors.set(parameter, await read(key));
    return tensors;
  };
  const common = await readAll(shared);
  const layers: AdapterLayer[] = [];
  for (const [name, keys] of found) {
    // PEFT would leave such a layer alone: the adapter would be another there.
    if (!meant(name) && !isTiedHead(name, config)) problems.push(`${name} has matrices, but is none of the configuration's target_modules`);
    const layer = form.layer({ name, ...strengthOf(config, name) }, await readAll(keys), common);
    if (typeof layer === "string") problems.push(layer);
    else layers.push(layer);
  }
  const trained: TrainedTensor[] = [];
  for (const [name, key] of whole) trained.push({ name, ...(await read(key)) });
  if (found.size + whole.size === 0 && problems.length === 0) problems.push("it holds no tensor");
  if (problems.length > 0) {
    const sentences = [...new Set(problems)].map((problem) => `\n- ${problem}`);
    throw new InputError(`${file} does not hold what its configuration says:${sentences.join("")}`);
  }
  return { config, layers, trained };
}

function notFinite(tensor: string, values: Float32Array): string[] {
  const count = values.reduce((sum, value) => sum + (Number.isFinite(value) ? 0 : 1), 0);
  return count === 0 ? [] : [`${tensor} holds ${count} values that are not finite (NaN or infinity): train the adapter again`];
}

/**
 * What a file holds: the tensors of each layer and those that all share, by the variant's names, and those that were trained whole, by
 * their names in a checkpoint.
 */
function sortOut(checkpoint: Checkpoint, config: WholeConfig, { parameters, shared: names }: ReturnType<typeof fileOf>) {
  const shared = new Map<string, string>();
  const found = new Map<string, Map<string, string>>();
  const whole = new Map<string, string>();
  const meant = targetTest(config);
  const problems = [...checkpoint.unreadable].map(([name, type]) => `${name} is stored as ${type}; F32, F16 and BF16 are read`);
  for (const key of checkpoint.tensors.keys()) {
    const plain = plainName(key);
    const common = names.find((name) => plain === name || key === MODEL + name);
    if (common !== undefined) {
      shared.set(common, key);
      continue;
    }
    if (isBaseOfAdapted(plain, config, meant)) continue;
    const parameter = parameters.find((name) => plain.endsWith(`.${name}`));
    if (parameter === undefined && isTrainedWhole(plain, config)) whole.set(plain.replace(BASE_LAYER, "."), key);
    else if (parameter === undefined) problems.push(`${key} is ${foreignTensor(key)}`);
    else {
      const layer = plain.slice(0, -parameter.length - 1);
      const keys = found.get(layer) ?? new Map<string, string>();
      if (keys.has(parameter)) problems.push(`${key} is a second ${parameter} of ${layer}`);
      found.set(layer, keys.set(parameter, key));
    }
  }
  return { found, whole, shared, problems };
}

type WholeConfig = Pick<
  AdapterConfig,
  "trainedModules" | "bias" | "tiesWeights" | "trainedTokens" | "targetModules" | "excludeModules" | "blocks"
>;

/**
 * Whether a configuration means a tensor to be trained whole: it lies in a module whose path ends with one of the names, as PEFT's
 * `_set_trainable` has it, or it is one of the biases.
 */
function isTrainedWhole(name: string, { trainedModules, bias, tiesWeights, trainedTokens }: WholeConfig): boolean {
  if (holdsTokens(name)) return trainedTokens !== undefined;
  const isOwnBias = name.endsWith(`${BASE_LAYER}bias`);
  if (bias !== "none" && (isOwnBias || (bias === "all" && name.endsWith(".bias")))) return true;
  if (tiesWeights && name === HEAD_WEIGHT) return true; // the copy of a table that is trained
  return trainedModules.some((module) => `.${name}`.includes(`${module}.`));
}

/** Whether a tensor is the frozen weight below an adapter: PEFT saves that of an adapted table or head with it. */
function isBaseOfAdapted(name: string, config: WholeConfig, meant: (layer: string) => boolean): boolean {
  const layer = name.slice(0, -BASE_WEIGHT.length);
  return name.endsWith(BASE_WEIGHT) && (meant(layer) || isTiedHead(layer, config));
}

/** Of adapters that are tied to each other PEFT names that of the table alone, and saves that of the head too. */
const isTiedHead = (layer: string, { tiesWeights }: Pick<AdapterConfig, "tiesWeights">): boolean => tiesWeights && layer === HEAD;

/** A tensor's name as PEFT saves it, without its prefix: a raw state dict has the adapter's own name too, "default". */
function plainName(key: string): string {
  const name = withoutPrefix(key).replace(/\.(lora_\w+|trainable_tokens_delta)\.default(?=\.|$)/, ".$1");
  return name.replace(/\.lora_magnitude_vector\.weight$/, ".lora_magnitude_vector");
}

const withoutPrefix = (name: string): string => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name);

function foreignTensor(key: string): string {
  if (key.endsWith("lora_magnitude_vector") || key.includes("lora_magnitude_vector."))
    return "the magnitude of DoRA, which the configuration does not name (use_dora)";
  if (key.endsWith(".lora_B.bias")) return "a bias of B, which the configuration does not name (lora_bias)";
  if (/\.lora_embedding_[AB]$/.test(key)) return "the adapter of an embedding, which is supported of plain LoRA alone";
  if (key.includes(".token_adapter."))
    return "a set of trained token embeddings, which the configuration does not name (trainable_token_indices)";
  return "neither a lora_A nor a lora_B: a fully trained module (modules_to_save), or another kind of adapter, which is not supported";
}
