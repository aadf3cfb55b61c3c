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
import { type GgufEntry, type GgufTensor, paddedLength } from "./header.js";
import { parametersOf } from "./parameters/index.js";
import { uint32 } from "./parameters/parameters.js";
import { fileTypes, type ModelType, typeIn, typeOfBase, unchangedType } from "./tensor-types.js";

/** A model with an adapter folded in, on its way into a GGUF. */
export interface MergedModelSource {
  readonly model: LanguageModelGraph;
  /** By the model's names; see `modelCheckpoint`. */
  readonly checkpoint: Checkpoint;
  readonly adapter: Adapter;
  /** That of the matrices; see `typeIn`. Vectors are in F32, as llama.cpp wants them. */
  readonly type: ModelType;
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

/**
 * A model in Hugging Face's form as GGUF: what llama.cpp's converter would write of the merged model.
 *
 * @param config its `config.json`
 * @param tokenizer see `ggufTokenizer`
 * @param modelName what the file calls it
 * @throws InputError with everything that GGUF cannot express, and what to do instead.
 */
export function ggufOfFolder(
  source: MergedModelSource & { readonly type: WrittenType },
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
  const weights = [...model.weights.keys()].flatMap((weight) => ggufTensor(weight, source, layers, inOneType(source, layers)));
  return complete([...general, ...tokenizer], [...tensors, ...weights], notes);
}

/** The same of a model in GGUF: its metadata as they stand, and its tensors under their names. */
export async function ggufOfGguf(source: MergedModelSource, { tensors, encodedEntries }: RawGguf): Promise<GgufModelFile> {
  const { type, checkpoint, model } = source;
  const layers = ggufLayers(model);
  const byName = new Map([...model.weights.keys()].map((weight) => [layers.tensorName(weight), weight]));
  const adapted = layersByWeight(source.adapter);
  const isChanged = (weight: string, { source: { name } }: StoredTensor) =>
    adapted.has(weight) || checkpoint.tensors.get(weight)?.source.name !== name; // what was trained whole is computed, and in no file
  const own = new Set(["general.alignment", ...(type === "base" ? [] : ["general.file_type", "general.quantization_version"])]);
  const kept = (await encodedEntries()).filter(([key]) => !own.has(key) && !key.startsWith("split."));
  const entries = kept.map(([key, value]): GgufEntry => [key, { type: "encoded", value }]);
  const head = headName(model, layers);
  const encode = source.meter?.encode ?? encodeValues;
  const typeOf = type === "base" ? typesOfBase(tensors) : inOneType({ ...source, type }, layers);
  const written = [...tensors.values()].flatMap((tensor) => {
    const weight = byName.get(tensor.name);
    return weight !== undefined && isChanged(weight, tensor)
      ? ggufTensor(weight, source, layers, typeOf)
      : [unchanged(tensor, unchangedType(type, tensor, head), (to, values) => encode(to, values, weight ?? tensor.name))];
  });
  const added = [...byName].filter(([name]) => name === undefined || !tensors.has(name)); // a head that was its table
  const more = added.flatMap(([, weight]) => ggufTensor(weight, source, layers, typeOf));
  return complete([...entries, ...(type === "base" ? [] : fileType(type))], [...written, ...more], []);
}

/** GGUF's name of the table of embeddings. */
const TABLE = "token_embd.weight";

type TypeOf = (tensor: Pick<GgufTensor, "name" | "shape">) => WrittenType;

const headName = ({ head }: Pick<LanguageModelGraph, "head">, layers: GgufLayers) => layers.tensorName(head);

function inOneType({ model, type }: MergedModelSource & { readonly type: WrittenType }, layers: GgufLayers): TypeOf {
  const head = headName(model, layers);
  return (tensor) => typeIn(type, tensor, head);
}

/** The types of a GGUF; a head that was its table is of that one's type. */
function typesOfBase(tensors: RawGguf["tensors"]): TypeOf {
  return ({ name }) => {
    const tensor = tensors.get(name) ?? tensors.get(TABLE);
    if (tensor === undefined) throw new Error(`the base has no tensor ${name}`);
    return typeOfBase({ ...tensor, name });
  };
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

/** A weight of the model; none where the checkpoint lacks it. */
function ggufTensor(weight: string, source: MergedModelSource, layers: GgufLayers, typeOf: TypeOf): GgufTensor[] {
  const { checkpoint, adapter, meter } = source;
  const tensor = checkpoint.tensors.get(weight);
  const name = layers.tensorName(weight);
  if (tensor === undefined || name === undefined) return [];
  const { shape } = tensor;
  const type = typeOf({ name, shape });
  const { interleavedHeads: heads, addend } = layers.conversion(weight);
  const arrange = heads === undefined ? undefined : interleaved(heads, (shape[0] ?? 0) / heads);
  const layer = layersByWeight(adapter).get(weight);
  const encode = meter?.encode ?? encodeValues;
  async function* data() {
    for await (const values of convertedValues(tensor as StoredTensor, source, layer, { arrange, addend })) {
      yield encode(type, values, weight, arrange);
    }
  }
  return [{ name, type, shape, data }];
}

type Arrange = (values: Float32Array) => Float32Array;

/** Rows of q and k in the order that llama.cpp's converter gives them. */
function interleaved(heads: number, headSize: number): Arrange {
  return ({ buffer, byteOffset, byteLength }) =>
    new Float32Array(interleaveHeads(new Uint8Array(buffer, byteOffset, byteLength), heads, headSize).buffer);
}

/** The merged values with what llama.cpp's converter does to them: the opposite of what reading a GGUF undoes. */
async function* convertedValues(
  tensor: StoredTensor,
  { checkpoint, adapter, meter }: MergedModelSource,
  layer: AdapterLayer | undefined,
  { arrange, addend }: { readonly arrange: Arrange | undefined; readonly addend: number | undefined },
): AsyncGenerator<Float32Array> {
  if (arrange !== undefined) yield arrange(await mergedTensor(tensor, checkpoint, adapter, layer, meter));
  else {
    for await (const values of mergedValues(tensor, checkpoint, adapter, layer, meter))
      yield addend === undefined ? values : values.map((value) => value - addend);
  }
}

/** A tensor of a GGUF that no adapter changes: its bytes, unless it is to be in another type. */
function unchanged(
  tensor: StoredTensor,
  type: WrittenType | undefined,
  encode: (type: WrittenType, values: Float32Array) => Uint8Array,
): GgufTensor {
  const { name, shape } = tensor;
  async function* data() {
    if (type === undefined) for await (const { bytes } of readStoredSlabs(tensor)) yield bytes;
    else for await (const values of readSlabs(tensor)) yield encode(type, values);
  }
  return { name, type: type ?? tensor.type, shape, data };
}
