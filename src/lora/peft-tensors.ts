import { InputError } from "../errors.js";
import type { Checkpoint } from "../weights/checkpoint.js";
import { type Adapter, type AdapterConfig, type AdapterLayer, configuredStrength, type TrainedTensor } from "./adapter.js";
import { matrixName } from "./layout.js";
import { targetTest } from "./target-modules.js";

// The tensors of adapter_model.safetensors, by the names that PEFT gives them.

/** What PEFT puts before every module's path. Files of other tools leave it out; both are read, this is written. */
const PREFIX = "base_model.model.";

/** A tensor as it is written: F32, row-major, under PEFT's name. */
export type PeftTensor = TrainedTensor;

/** The tensors of an adapter in the order of their names. */
export function peftTensors(adapter: Adapter): PeftTensor[] {
  const matrices = adapter.layers.flatMap((layer): PeftTensor[] => [
    { name: matrixName(layer.name, "A"), shape: [layer.rank, layer.inputs], values: layer.a },
    { name: matrixName(layer.name, "B"), shape: [layer.outputs, layer.rank], values: layer.b },
  ]);
  return [...matrices, ...(adapter.trained ?? [])]
    .map((tensor) => ({ ...tensor, name: PREFIX + tensor.name }))
    .sort((x, y) => (x.name < y.name ? -1 : 1));
}

/**
 * The adapter of a configuration and its tensors (F32, F16 or BF16). Throws one InputError with everything that does not fit together: a
 * tensor that is no A or B, a matrix without its partner, a shape that contradicts the rank, a layer that the configuration does not mean,
 * values that are not finite.
 */
export async function readPeftTensors(config: AdapterConfig, checkpoint: Checkpoint, file: string): Promise<Adapter> {
  const { pairs, whole, problems } = pairUp(checkpoint, config.trainedModules);
  const meant = targetTest(config);
  const layers: AdapterLayer[] = [];
  for (const [name, pair] of pairs) {
    // PEFT would leave such a layer alone: the adapter would be another there.
    if (!meant(name)) problems.push(`${name} has matrices, but is none of the configuration's target_modules`);
    const shapes = checkPair(config, name, pair, checkpoint);
    if (typeof shapes === "string") problems.push(shapes);
    else if (pair.A !== undefined && pair.B !== undefined) {
      const [a, b] = [await checkpoint.readFloat32(pair.A), await checkpoint.readFloat32(pair.B)];
      problems.push(...notFinite(pair.A, a), ...notFinite(pair.B, b));
      layers.push({ ...shapes, a, b });
    }
  }
  const trained: TrainedTensor[] = [];
  for (const [name, key] of whole) {
    const values = await checkpoint.readFloat32(key);
    problems.push(...notFinite(key, values));
    trained.push({ name, shape: checkpoint.tensors.get(key)?.shape ?? [], values });
  }
  if (pairs.size + whole.size === 0 && problems.length === 0) problems.push("it holds no tensor");
  if (problems.length > 0) {
    throw new InputError(`${file} is not the file of a plain LoRA:${problems.map((problem) => `\n- ${problem}`).join("")}`);
  }
  return { config, layers, trained };
}

function notFinite(tensor: string, values: Float32Array): string[] {
  const count = values.reduce((sum, value) => sum + (Number.isFinite(value) ? 0 : 1), 0);
  return count === 0 ? [] : [`${tensor} holds ${count} values that are not finite (NaN or infinity): train the adapter again`];
}

/** Names in the file of a layer's two matrices. */
type Pair = { A?: string; B?: string };

/** A PEFT file leaves the adapter's own name out; a raw state dict has it ("default"). */
const MATRIX_NAME = /^(.+)\.lora_([AB])(?:\.default)?\.weight$/s;

/** What a file holds: the matrices of each layer, and the tensors that were trained whole, by their names in a checkpoint. */
function pairUp(checkpoint: Checkpoint, trainedModules: readonly string[]) {
  const pairs = new Map<string, Pair>();
  const whole = new Map<string, string>();
  const isTrained = (name: string) => trainedModules.some((module) => name.startsWith(`${module}.`));
  const problems = [...checkpoint.unreadable].map(([name, type]) => `${name} is stored as ${type}; F32, F16 and BF16 are read`);
  for (const key of checkpoint.tensors.keys()) {
    const [, path, matrix] = MATRIX_NAME.exec(key) ?? [];
    const plain = withoutPrefix(key);
    if (path === undefined && isTrained(plain)) {
      whole.set(plain, key);
      continue;
    }
    if (path === undefined || (matrix !== "A" && matrix !== "B")) {
      problems.push(`${key} is ${foreignTensor(key)}`);
      continue;
    }
    const layer = withoutPrefix(path);
    const pair = pairs.get(layer) ?? {};
    if (pair[matrix] !== undefined) problems.push(`${key} is a second lora_${matrix} of ${layer}`);
    pair[matrix] = key;
    pairs.set(layer, pair);
  }
  return { pairs, whole, problems };
}

const withoutPrefix = (name: string): string => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name);

function foreignTensor(key: string): string {
  if (key.endsWith("lora_magnitude_vector") || key.includes("lora_magnitude_vector."))
    return "the magnitude of DoRA, which is not supported";
  if (key.endsWith(".lora_B.bias")) return "a bias of B (lora_bias), which is not supported";
  if (/\.lora_embedding_[AB]$/.test(key)) return "the adapter of an embedding, which is not supported";
  if (key.includes(".token_adapter.")) return "a set of trained token embeddings, which is not supported";
  return "neither a lora_A nor a lora_B: a fully trained module (modules_to_save), or another kind of adapter, which is not supported";
}

function checkPair(config: AdapterConfig, name: string, pair: Pair, checkpoint: Checkpoint) {
  const a = pair.A === undefined ? undefined : checkpoint.tensors.get(pair.A)?.shape;
  const b = pair.B === undefined ? undefined : checkpoint.tensors.get(pair.B)?.shape;
  if (a === undefined || b === undefined)
    return `${name} has a lora_${a === undefined ? "B" : "A"} without its lora_${a === undefined ? "A" : "B"}`;
  const { rank, scale } = configuredStrength(config, name);
  const [rows, inputs] = a;
  const [outputs, columns] = b;
  if (a.length !== 2 || b.length !== 2 || rows !== rank || columns !== rank || !inputs || !outputs) {
    return `${name}: lora_A is [${a.join(", ")}] and lora_B [${b.join(", ")}]; rank ${rank} of the configuration needs [${rank}, inputs] and [outputs, ${rank}]`;
  }
  return { name, inputs, outputs, rank, scale };
}
