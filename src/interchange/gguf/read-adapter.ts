import { InputError } from "../../errors.js";
import type { Adapter, AdapterLayer } from "../../lora/adapter.js";
import { readStoredTensor, type StoredTensor } from "../../weights/checkpoint.js";
import type { RawGguf } from "../../weights/gguf.js";
import { ggufArchitectures } from "../../weights/gguf-architectures/index.js";
import { type BaseModel, ggufLayers, layerIn } from "./base-model.js";

/**
 * The adapter in a GGUF file. Without a model, rows of B stay as the file has them, interleaved in some architectures: enough to look at
 * an adapter, since the order of rows changes neither norms nor singular values.
 *
 * @throws InputError with everything that is wrong: no LoRA adapter, another architecture than the model's, matrices that do not belong together.
 */
export async function readGgufAdapter({ metadata, tensors }: RawGguf, file: string, model?: BaseModel): Promise<Adapter> {
  const { alpha, nameOf, headsOf } = checkKind(metadata, file, model);
  const problems: string[] = [];
  const layers: AdapterLayer[] = [];
  for (const [weight, { a, b }] of pairs(tensors, problems)) {
    const name = nameOf(weight);
    const shapes = shapesOf(a, b);
    if (name === undefined) problems.push(`${weight} is no layer that is known here`);
    else if (shapes === undefined) problems.push(`${weight}: lora_a is ${shown(a)} and lora_b ${shown(b)}; expected [r, in] and [out, r]`);
    else {
      const heads = headsOf(name);
      if (heads !== undefined && shapes.outputs % (2 * heads) !== 0)
        problems.push(`${weight}: ${heads} heads cannot share ${shapes.outputs} rows`);
      else layers.push({ name, ...shapes, scale: alpha === 0 ? 1 : alpha / shapes.rank, ...(await values(a, b, heads)) });
    }
  }
  if (layers.length === 0 && problems.length === 0) problems.push("it holds no tensor");
  for (const { name, a, b } of layers)
    if (![a, b].every((matrix) => matrix.every(Number.isFinite))) problems.push(`${name} holds values that are not finite`);
  if (problems.length > 0) throw new InputError(`${file} is not a usable adapter:${problems.map((problem) => `\n- ${problem}`).join("")}`);
  const conv1d = new Set(model?.linearGroups.flat().flatMap(({ name, isConv1D }) => (isConv1D ? [name] : [])));
  const isConv1D = layers.some(({ name }) => conv1d.has(name));
  return { config: { ...configOf(layers, alpha, metadata["general.base_model.0.name"]), isConv1D }, layers };
}

function checkKind(metadata: RawGguf["metadata"], file: string, model: BaseModel | undefined) {
  const { "general.type": kind = "model", "adapter.type": type, "general.architecture": name, "adapter.lora.alpha": alpha = 0 } = metadata;
  if (kind !== "adapter" || type !== "lora") {
    const found = kind === "adapter" ? `its adapter.type is ${JSON.stringify(type)}` : `its general.type is ${JSON.stringify(kind)}`;
    throw new InputError(`${file} holds no LoRA adapter: ${found}.${kind === "model" ? " Give a model's file as the model." : ""}`);
  }
  if (typeof alpha !== "number" || !Number.isFinite(alpha))
    throw new InputError(`${file}: adapter.lora.alpha is ${String(alpha)}; expected a number.`);
  if (metadata["adapter.alora.invocation_tokens"] !== undefined) {
    throw new InputError(`${file}: the adapter is switched on by tokens of the text (activated LoRA), which is not supported.`);
  }
  if (model !== undefined) {
    const { architecture, layerOf, interleavedHeads } = ggufLayers(model);
    if (architecture.name === name) return { alpha, nameOf: layerOf, headsOf: interleavedHeads };
    throw new InputError(
      `${file} is for a model of architecture ${String(name)}, where this one is ${architecture.name}. Use the model that it was trained for.`,
    );
  }
  const architecture = ggufArchitectures.find((each) => each.name === name);
  if (architecture === undefined) {
    throw new InputError(
      `${file}: the architecture ${String(name)} is not supported. Supported are: ${ggufArchitectures.map((each) => each.name).join(", ")}.`,
    );
  }
  return { alpha, nameOf: (weight: string) => layerIn(architecture, weight), headsOf: () => undefined };
}

interface Pair {
  readonly a?: StoredTensor;
  readonly b?: StoredTensor;
}

/** A and B of each weight that the file names. */
function pairs(tensors: RawGguf["tensors"], problems: string[]): ReadonlyMap<string, Pair> {
  const found = new Map<string, Pair>();
  for (const [key, tensor] of tensors) {
    const [, weight = "", which] = /^(.*)\.lora_([ab])$/.exec(key) ?? [];
    if (which === undefined) problems.push(`${key} is neither a lora_a nor a lora_b, which is not supported`);
    else if (weight === "token_embd.weight") problems.push(`${key}: an adapter of the embedding is not supported`);
    else found.set(weight, { ...found.get(weight), [which]: tensor });
  }
  return found;
}

const shown = (tensor: StoredTensor | undefined) => (tensor === undefined ? "missing" : `[${tensor.shape.join(", ")}]`);

function shapesOf(a: StoredTensor | undefined, b: StoredTensor | undefined) {
  const [rank, inputs] = a?.shape ?? [];
  const [outputs, columns] = b?.shape ?? [];
  if (a?.shape.length !== 2 || b?.shape.length !== 2 || !rank || !inputs || !outputs || columns !== rank) return undefined;
  return { rank, inputs, outputs };
}

async function values(a: StoredTensor | undefined, b: StoredTensor | undefined, heads: number | undefined) {
  if (a === undefined || b === undefined) throw new RangeError("a pair lacks a matrix");
  return { a: await readStoredTensor(a), b: await readStoredTensor(heads === undefined ? b : { ...b, interleavedHeads: heads }) };
}

/** The configuration with which PEFT would give each layer its rank and scale. */
function configOf(layers: readonly AdapterLayer[], alpha: number, baseModel: unknown): Omit<Adapter["config"], "isConv1D"> {
  const rank = layers[0]?.rank ?? 1;
  const others = layers.filter((layer) => layer.rank !== rank);
  const alphaOf = (layer: Pick<AdapterLayer, "rank">) => (alpha === 0 ? layer.rank : alpha);
  return {
    method: "lora",
    baseModel: typeof baseModel === "string" ? baseModel : undefined,
    rank,
    alpha: alphaOf({ rank }),
    dropout: 0,
    rankStabilised: false,
    rankPattern: Object.fromEntries(others.map((layer) => [layer.name, layer.rank])),
    alphaPattern: alpha === 0 ? Object.fromEntries(others.map((layer) => [layer.name, layer.rank])) : {},
    targetModules: layers.map(({ name }) => name),
    excludeModules: undefined,
    blocks: undefined,
    initialisation: "peft",
    taskType: "CAUSAL_LM",
    trainedModules: [],
    bias: "none",
    tiesWeights: false,
  };
}
