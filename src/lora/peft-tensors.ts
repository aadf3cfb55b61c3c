import { InputError } from "../errors.js";
import type { Checkpoint } from "../weights/checkpoint.js";
import type { Adapter, AdapterConfig, AdapterLayer, TrainedTensor } from "./adapter.js";
import { parameterName } from "./layout.js";
import { strengthOf } from "./spec.js";
import { targetTest } from "./target-modules.js";
import { variantOf } from "./variants/index.js";
import { A, B } from "./variants/lora.js";

// The tensors of adapter_model.safetensors, by the names that PEFT gives them.

/** What PEFT puts before every module's path. Files of other tools leave it out; both are read, this is written. */
const PREFIX = "base_model.model.";

/** A tensor as it is written: F32, row-major, under PEFT's name. */
export type PeftTensor = TrainedTensor;

/** The tensors of an adapter in the order of their names. */
export function peftTensors(adapter: Adapter): PeftTensor[] {
  const matrices = adapter.layers.flatMap((layer): PeftTensor[] => [
    { name: parameterName(layer.name, A), shape: [layer.rank, layer.inputs], values: layer.a },
    { name: parameterName(layer.name, B), shape: [layer.outputs, layer.rank], values: layer.b },
    ...[...(layer.vectors ?? [])].map(([name, values]) => ({ name: parameterName(layer.name, name), shape: [values.length], values })),
  ]);
  return [...matrices, ...(adapter.trained ?? [])]
    .map((tensor) => ({ ...tensor, name: PREFIX + tensor.name }))
    .sort((x, y) => (x.name < y.name ? -1 : 1));
}

/**
 * The adapter of a configuration and its tensors (F32, F16 or BF16). Throws one InputError with everything that does not fit together: a
 * tensor that is none of the variant's, a matrix without its partner, a shape that contradicts the rank, a layer that the configuration does not mean,
 * values that are not finite.
 */
export async function readPeftTensors(config: AdapterConfig, checkpoint: Checkpoint, file: string): Promise<Adapter> {
  const { vectors } = variantOf(config.method);
  const { found, whole, problems } = sortOut(checkpoint, config.trainedModules, [A, B, ...vectors]);
  const meant = targetTest(config);
  const read = async (key: string) => {
    const values = await checkpoint.readFloat32(key);
    problems.push(...notFinite(key, values));
    return values;
  };
  const layers: AdapterLayer[] = [];
  for (const [name, keys] of found) {
    // PEFT would leave such a layer alone: the adapter would be another there.
    if (!meant(name)) problems.push(`${name} has matrices, but is none of the configuration's target_modules`);
    const shapes = checkLayer(config, name, (parameter) => checkpoint.tensors.get(keys.get(parameter) ?? "")?.shape, vectors);
    if (typeof shapes === "string") problems.push(shapes);
    else {
      const [a, b] = [await read(keys.get(A) ?? ""), await read(keys.get(B) ?? "")];
      const beside = new Map<string, Float32Array>();
      for (const vector of vectors) beside.set(vector, await read(keys.get(vector) ?? ""));
      layers.push({ ...shapes, a, b, ...(vectors.length === 0 ? {} : { vectors: beside }) });
    }
  }
  const trained: TrainedTensor[] = [];
  for (const [name, key] of whole) trained.push({ name, shape: checkpoint.tensors.get(key)?.shape ?? [], values: await read(key) });
  if (found.size + whole.size === 0 && problems.length === 0) problems.push("it holds no tensor");
  if (problems.length > 0) {
    throw new InputError(`${file} does not hold what its configuration says:${problems.map((problem) => `\n- ${problem}`).join("")}`);
  }
  return { config, layers, trained };
}

function notFinite(tensor: string, values: Float32Array): string[] {
  const count = values.reduce((sum, value) => sum + (Number.isFinite(value) ? 0 : 1), 0);
  return count === 0 ? [] : [`${tensor} holds ${count} values that are not finite (NaN or infinity): train the adapter again`];
}

/** What a file holds: the tensors of each layer by the variant's names, and those that were trained whole, by their names in a checkpoint. */
function sortOut(checkpoint: Checkpoint, trainedModules: readonly string[], parameters: readonly string[]) {
  const found = new Map<string, Map<string, string>>();
  const whole = new Map<string, string>();
  const isTrained = (name: string) => trainedModules.some((module) => name.startsWith(`${module}.`));
  const problems = [...checkpoint.unreadable].map(([name, type]) => `${name} is stored as ${type}; F32, F16 and BF16 are read`);
  for (const key of checkpoint.tensors.keys()) {
    const plain = plainName(key);
    const parameter = parameters.find((name) => plain.endsWith(`.${name}`));
    if (parameter === undefined && isTrained(plain)) whole.set(plain, key);
    else if (parameter === undefined) problems.push(`${key} is ${foreignTensor(key)}`);
    else {
      const layer = plain.slice(0, -parameter.length - 1);
      const keys = found.get(layer) ?? new Map<string, string>();
      if (keys.has(parameter)) problems.push(`${key} is a second ${parameter} of ${layer}`);
      found.set(layer, keys.set(parameter, key));
    }
  }
  return { found, whole, problems };
}

/** A tensor's name as PEFT saves it, without its prefix: a raw state dict has the adapter's own name too, "default". */
function plainName(key: string): string {
  const name = withoutPrefix(key).replace(/\.(lora_\w+)\.default(?=\.|$)/, ".$1");
  return name.replace(/\.lora_magnitude_vector\.weight$/, ".lora_magnitude_vector");
}

const withoutPrefix = (name: string): string => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name);

function foreignTensor(key: string): string {
  if (key.endsWith("lora_magnitude_vector") || key.includes("lora_magnitude_vector."))
    return "the magnitude of DoRA, which the configuration does not name (use_dora)";
  if (key.endsWith(".lora_B.bias")) return "a bias of B (lora_bias), which is not supported";
  if (/\.lora_embedding_[AB]$/.test(key)) return "the adapter of an embedding, which is not supported";
  if (key.includes(".token_adapter.")) return "a set of trained token embeddings, which is not supported";
  return "neither a lora_A nor a lora_B: a fully trained module (modules_to_save), or another kind of adapter, which is not supported";
}

function checkLayer(
  config: AdapterConfig,
  name: string,
  shapeOf: (parameter: string) => readonly number[] | undefined,
  vectors: readonly string[],
) {
  const [a, b] = [shapeOf(A), shapeOf(B)];
  if (a === undefined || b === undefined)
    return `${name} has a lora_${a === undefined ? "B" : "A"} without its lora_${a === undefined ? "A" : "B"}`;
  const { rank, scale } = strengthOf(config, name);
  const [rows, inputs] = a;
  const [outputs, columns] = b;
  if (a.length !== 2 || b.length !== 2 || rows !== rank || columns !== rank || !inputs || !outputs) {
    return `${name}: lora_A is [${a.join(", ")}] and lora_B [${b.join(", ")}]; rank ${rank} of the configuration needs [${rank}, inputs] and [outputs, ${rank}]`;
  }
  const wrong = vectors.find((vector) => shapeOf(vector)?.join() !== String(outputs));
  if (wrong !== undefined) return `${name}: ${wrong} is ${shapeOf(wrong)?.join(" × ") ?? "missing"}, not a vector of ${outputs} values`;
  return { name, inputs, outputs, rank, scale };
}
