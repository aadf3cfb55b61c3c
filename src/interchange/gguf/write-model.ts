import { InputError } from "../../errors.js";
import type { Adapter, AdapterLayer } from "../../lora/adapter.js";
import type { RoundingMeter } from "../../lora/merge-rounding.js";
import { layersByWeight, mergedTensor, mergedValues } from "../../lora/merged-values.js";
import type { LanguageModelGraph } from "../../models/architecture.js";
import { type Checkpoint, elementCount, readSlabs, readStoredSlabs, type StoredTensor } from "../../weights/checkpoint.js";
import type { RawGguf } from "../../weights/gguf.js";
import { interleaveHeads } from "../../weights/kernels/interleaved-heads.js";
import { storedFormats } from "../../weights/stored-types.js";
import { encodeValues, type WrittenType } from "../../weights/written-types.js";
import { type GgufLayers, ggufLayers } from "./base-model.js";
import { type GgufEntry, type GgufTensor, type GgufTensorInfo, paddedLength } from "./header.js";
import { parametersOf } from "./parameters/index.js";
import { uint32 } from "./parameters/parameters.js";

/** A model with an adapter folded in, on its way into a GGUF. */
export interface MergedModelSource {
  readonly model: LanguageModelGraph;
  /** By the model's names; see `modelCheckpoint`. */
  readonly checkpoint: Checkpoint;
  readonly adapter: Adapter;
  /** That of the matrices. Vectors are in F32, as llama.cpp wants them. */
  readonly type: WrittenType;
  /** Measures what rounding to that type does to the merged weights. */
  readonly meter?: RoundingMeter;
}

/** A model as llama.cpp takes it. */
export interface GgufModelFile {
  readonly entries: readonly GgufEntry[];
  readonly tensors: readonly GgufTensor[];
  /** Bytes of weights, with what they are padded with. */
  readonly bytes: number;
  readonly notes: readonly string[];
}

/** `general.file_type`.                                                           gguf-py: constants.py, LlamaFileType */
const fileTypes: Readonly<Record<WrittenType, number>> = { F32: 0, F16: 1, Q8_0: 7, BF16: 32 };

/**
 * A model in Hugging Face's form as GGUF: what llama.cpp's converter would write of the merged model.
 *
 * @param config its `config.json`
 * @param tokenizer see `ggufTokenizer`
 * @param modelName what the file calls it
 * @throws InputError with everything that GGUF cannot express, and what to do instead.
 */
export function ggufOfFolder(
  source: MergedModelSource,
  config: Readonly<Record<string, unknown>>,
  tokenizer: readonly GgufEntry[],
  modelName: string,
): GgufModelFile {
  const { model, type } = source;
  const layers = ggufLayers(model);
  const { name } = layers.architecture;
  const text =
    model.modelType === "gemma3" ? { ...(config.text_config as object), tie_word_embeddings: config.tie_word_embeddings } : config;
  const { entries = [], tensors = [], problems = [], notes = [] } = parametersOf[name]?.({ model, config: text }) ?? {};
  const nameless = [...model.weights.keys()].filter((weight) => layers.tensorName(weight) === undefined);
  refuse([...problems, ...(nameless.length > 0 ? [`llama.cpp's ${name} has no place for ${nameless.slice(0, 3).join(", ")}`] : [])]);
  const general: GgufEntry[] = [
    ["general.architecture", { type: "string", value: name }],
    ["general.type", { type: "string", value: "model" }],
    ["general.name", { type: "string", value: modelName }],
    ...entries.map(([key, value]): GgufEntry => [`${name}.${key}`, value]),
    ...fileType(type),
  ];
  const weights = [...model.weights.keys()].flatMap((weight) => ggufTensor(weight, source, layers));
  return complete([...general, ...tokenizer], [...tensors, ...weights], notes);
}

/** The same of a model in GGUF: its metadata as they stand, and its tensors under their names. */
export async function ggufOfGguf(source: MergedModelSource, { tensors, encodedEntries }: RawGguf): Promise<GgufModelFile> {
  const { type } = source;
  const layers = ggufLayers(source.model);
  const byName = new Map([...source.model.weights.keys()].map((weight) => [layers.tensorName(weight), weight]));
  const { layers: adapters, trained = [] } = source.adapter;
  const changed = new Set([...layersByWeight({ layers: adapters }).keys(), ...trained.map(({ name }) => name)]);
  const own = new Set(["general.file_type", "general.quantization_version", "general.alignment"]);
  const kept = (await encodedEntries()).filter(([key]) => !own.has(key) && !key.startsWith("split."));
  const entries = kept.map(([key, value]): GgufEntry => [key, { type: "encoded", value }]);
  const written = [...tensors.values()].flatMap((tensor) => {
    const weight = byName.get(tensor.name);
    return weight !== undefined && changed.has(weight) ? ggufTensor(weight, source, layers) : [unchanged(tensor, type)];
  });
  const added = [...byName].filter(([name]) => name === undefined || !tensors.has(name)); // a head that was its table
  const more = added.flatMap(([, weight]) => ggufTensor(weight, source, layers));
  return complete([...entries, ...fileType(type)], [...written, ...more], []);
}

const fileType = (type: WrittenType): GgufEntry[] => [
  ["general.file_type", uint32(fileTypes[type])],
  ["general.quantization_version", uint32(2)],
];

function complete(entries: readonly GgufEntry[], tensors: readonly GgufTensor[], notes: readonly string[]): GgufModelFile {
  const bytes = tensors.reduce((sum, { type, shape }) => {
    const { weights, bytes } = storedFormats[type];
    return sum + paddedLength(((elementCount(shape) ?? 0) / weights) * bytes);
  }, 0);
  return { entries, tensors, bytes, notes };
}

function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new InputError(
    `The model cannot be a GGUF:${problems.map((problem) => `\n- ${problem}`).join("")}\nWrite a folder instead, which holds everything: leave out --to gguf and give --out a name without .gguf.`,
  );
}

/** Vectors and tables of positions in F32, and rows that are no whole blocks in F16.      llama.cpp: conversion/base.py, prepare_tensors */
function typeOf({ name, shape }: Pick<GgufTensorInfo, "name" | "shape">, type: WrittenType): WrittenType {
  if (shape.length < 2 || name === "position_embd.weight") return "F32";
  return type === "Q8_0" && (shape.at(-1) ?? 0) % storedFormats.Q8_0.weights !== 0 ? "F16" : type;
}

/** A weight of the model; none where the checkpoint lacks it. */
function ggufTensor(weight: string, source: MergedModelSource, layers: GgufLayers): GgufTensor[] {
  const tensor = source.checkpoint.tensors.get(weight);
  const name = layers.tensorName(weight);
  if (tensor === undefined || name === undefined) return [];
  const type = typeOf({ name, shape: tensor.shape }, source.type);
  const layer = layersByWeight(source.adapter).get(weight);
  const encode = layer === undefined || source.meter === undefined ? encodeValues : source.meter.encode;
  async function* data() {
    for await (const values of convertedValues(tensor as StoredTensor, source, layers, layer)) yield encode(type, values, weight);
  }
  return [{ name, type, shape: tensor.shape, data }];
}

/** The merged values with what llama.cpp's converter does to them: the opposite of what reading a GGUF undoes. */
async function* convertedValues(
  tensor: StoredTensor,
  { checkpoint, adapter, meter }: MergedModelSource,
  layers: GgufLayers,
  layer: AdapterLayer | undefined,
): AsyncGenerator<Float32Array> {
  const { interleavedHeads: heads, addend } = layers.conversion(tensor.name);
  if (heads !== undefined) {
    const whole = await mergedTensor(tensor, checkpoint, adapter, layer, meter);
    const rows = interleaveHeads(new Uint8Array(whole.buffer), heads, (tensor.shape[0] ?? 0) / heads);
    yield new Float32Array(rows.buffer);
  } else {
    for await (const values of mergedValues(tensor, checkpoint, adapter, layer, meter))
      yield addend === undefined ? values : values.map((value) => value - addend);
  }
}

/** A tensor of a GGUF that no adapter changes: its bytes where they are in the type already, and so for all that is no weight. */
function unchanged(tensor: StoredTensor, wanted: WrittenType): GgufTensor {
  const { name, shape } = tensor;
  const type = typeOf({ name, shape }, wanted);
  async function* data() {
    if (tensor.type === type) for await (const { bytes } of readStoredSlabs(tensor)) yield bytes;
    else for await (const values of readSlabs(tensor)) yield encodeValues(type, values, name);
  }
  return { name, type, shape, data };
}
