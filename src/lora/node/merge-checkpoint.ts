import { copyFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { readRequiredText } from "../../files/node/read-text-file.js";
import { companionFiles } from "../../hub/model-files.js";
import { type Checkpoint, elementCount, type StoredTensor } from "../../weights/checkpoint.js";
import { transposed } from "../../weights/kernels/transpose.js";
import { writeFileAtomic } from "../../weights/node/atomic-file.js";
import { writeFolderAtomic } from "../../weights/node/atomic-folder.js";
import { checkRoom } from "../../weights/node/disk-room.js";
import { exists } from "../../weights/node/exists.js";
import { type TensorToWrite, writeSafetensors } from "../../weights/node/write-safetensors.js";
import { storedFormats } from "../../weights/stored-types.js";
import { encodeValues, type WrittenType } from "../../weights/written-types.js";
import type { Adapter, AdapterLayer } from "../adapter.js";
import { checkFit } from "../fit.js";
import type { RoundingMeter } from "../merge-rounding.js";
import { layersByWeight, mergedTensor, mergedValues } from "../merged-values.js";
import { adaptableGroups, type VocabularyModel } from "../tables.js";
import { trainedCheckpoint } from "../trained-checkpoint.js";

/** Bytes of weights in one file where nothing else is asked for; beyond it a model is written in shards, as browsers and some tools cannot map more than 2 GiB. */
const MAX_SHARD_BYTES = 2e9;

/** What a merged model takes over from its base beside what says how to use it. */
const licences = ["LICENSE", "LICENSE.txt"];

/** A file that is written beside the weights: copied from a path, or given as text. */
export type Companion = { readonly name: string; readonly path: string } | { readonly name: string; readonly text: string };

export interface MergeRequest {
  /** By the model's names; see `modelCheckpoint`. */
  readonly checkpoint: Checkpoint;
  readonly model: VocabularyModel;
  readonly adapter: Adapter;
  /** The folder to make. It must not exist, or be empty. */
  readonly out: string;
  /** What messages call the model. */
  readonly modelName: string;
  /** config.json (its `dtype` becomes that of the weights) and what the tokenizer needs; see `companionsOfFolder`. */
  readonly companions: readonly Companion[];
  /** Called after each tensor, with bytes. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
  readonly maxShardBytes?: number;
  /** The type of all weights, or "original": that of each in the base, F32 where it is quantised there. F32 by default. */
  readonly type?: FolderType | "original";
  /** Measures what rounding to that type does to the merged weights. */
  readonly meter?: RoundingMeter;
  /** What else is done to the folder before it appears. */
  readonly finish?: (folder: string) => Promise<void>;
}

export interface MergedFolder {
  readonly folder: string;
  /** Names of the files with weights. */
  readonly files: readonly string[];
  readonly mergedLayers: number;
  /** The base's head was its table of embeddings, and is a matrix of its own now: the configuration says so. */
  readonly untied: boolean;
  /** Bytes of weights. */
  readonly bytes: number;
}

/**
 * Writes a model with an adapter folded into its weights, as a folder that transformers loads. Sums are formed in double precision and
 * rounded once to the type that is asked for; in 16 bits that rounding may be as large as a small change. Tensors are read, merged and
 * written one at a time; the folder appears whole or not at all.
 */
export async function mergeCheckpoint(request: MergeRequest): Promise<MergedFolder> {
  const { adapter, model, modelName } = request;
  checkFit(adapter, adaptableGroups(model).flat(), modelName, { model });
  return writeModel({ ...request, ...trainedCheckpoint(request.checkpoint, model, adapter) });
}

/** The same with an adapter that fits; one without layers leaves the checkpoint as it is. */
export async function writeModel(request: MergeRequest & { readonly untied?: boolean }): Promise<MergedFolder> {
  const { checkpoint, adapter, untied = false } = request;
  refuseUnreadable(checkpoint, request.modelName);

  const tensors = [...checkpoint.tensors.values()];
  const type = request.type ?? "F32";
  const typeOf = typesOf(type);
  const bytes = tensors.reduce((sum, tensor) => sum + byteLengthOf(tensor, typeOf), 0);
  const shards = splitIntoShards(tensors, typeOf, request.maxShardBytes ?? MAX_SHARD_BYTES);
  const folder = await writeFolderAtomic(request.out, "the merged model", async (unfinished) => {
    await checkRoom(dirname(unfinished), "the merged model", bytes, "choose a folder on another disk");
    await writeShards(unfinished, shards, request, typeOf);
    const form = { dtype: configNames[prevailingType(tensors, type)], ...(untied ? { tie_word_embeddings: false } : {}) };
    for (const companion of request.companions) await writeCompanion(unfinished, companion, form);
    await request.finish?.(unfinished);
  });
  return { folder, files: shards.map((shard) => shard.file), mergedLayers: adapter.layers.length, untied, bytes };
}

/** The files of a model's folder that a merged model needs too. */
export async function companionsOfFolder(folder: string): Promise<Companion[]> {
  const companions = [...companionFiles, ...licences].map((name) => ({ name, path: join(folder, name) }));
  const present = await Promise.all(companions.map(({ path }) => exists(path)));
  return companions.filter((_, index) => present[index]);
}

function refuseUnreadable(checkpoint: Checkpoint, modelName: string): void {
  if (checkpoint.unreadable.size === 0) return;
  const some = [...checkpoint.unreadable].slice(0, 3).map(([name, type]) => `${name} (${type})`);
  throw new InputError(
    `The model ${modelName} stores ${checkpoint.unreadable.size} tensors in a form that is not read, such as ${some.join(", ")}. Take its full-precision version.`,
  );
}

interface Shard {
  readonly file: string;
  readonly tensors: readonly StoredTensor[];
}

/** The types of a folder that transformers loads. */
export type FolderType = Extract<WrittenType, "F32" | "F16" | "BF16">;

/** Fills files in the order of the tensors; names as transformers gives them. */
function splitIntoShards(tensors: readonly StoredTensor[], typeOf: TypeOf, maxBytes: number): Shard[] {
  const parts: StoredTensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const size = byteLengthOf(tensor, typeOf);
    const last = parts[parts.length - 1];
    if (last !== undefined && (last.length === 0 || bytes + size <= maxBytes)) {
      last.push(tensor);
      bytes += size;
    } else {
      parts.push([tensor]);
      bytes = size;
    }
  }
  const count = String(parts.length).padStart(5, "0");
  return parts.map((part, index) => ({
    file: parts.length === 1 ? "model.safetensors" : `model-${String(index + 1).padStart(5, "0")}-of-${count}.safetensors`,
    tensors: part,
  }));
}

type TypeOf = (tensor: StoredTensor) => FolderType;

/** The type in which a tensor is written: a quantised one in F32 where the base's types are kept. */
function typesOf(type: FolderType | "original"): TypeOf {
  if (type !== "original") return () => type;
  return (tensor) => (tensor.type === "F16" || tensor.type === "BF16" ? tensor.type : "F32");
}

function byteLengthOf(tensor: StoredTensor, typeOf: TypeOf): number {
  return storedFormats[typeOf(tensor)].bytes * (elementCount(tensor.shape) ?? 0);
}

async function writeShards(folder: string, shards: readonly Shard[], request: MergeRequest, typeOf: TypeOf): Promise<void> {
  const adapted = layersByWeight(request.adapter);
  const conv1d = new Set(request.model.linearGroups.flat().flatMap(({ name, isConv1D }) => (isConv1D ? [`${name}.weight`] : [])));
  const total = shards.flatMap((shard) => shard.tensors).reduce((sum, tensor) => sum + byteLengthOf(tensor, typeOf), 0);
  let done = 0;
  const finished = (tensor: StoredTensor) => {
    done += byteLengthOf(tensor, typeOf);
    request.onProgress?.({ done, total });
  };
  for (const { file, tensors } of shards) {
    await writeSafetensors(
      join(folder, file),
      tensors.map((tensor) => {
        const form = { layer: adapted.get(tensor.name), isConv1D: conv1d.has(tensor.name), type: typeOf(tensor) };
        return tensorToWrite(tensor, request, form, finished);
      }),
    );
  }
  if (shards.length === 1) return;
  const places = shards.flatMap(({ file, tensors }) => tensors.map((tensor) => [nameInFile(tensor), file]));
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(places) };
  await writeFileAtomic(join(folder, "model.safetensors.index.json"), `${JSON.stringify(index, null, 2)}\n`);
}

/** What the checkpoint called it. */
function nameInFile({ name, storedName }: StoredTensor): string {
  return storedName ?? name;
}

function tensorToWrite(
  tensor: StoredTensor,
  { checkpoint, signal, adapter, meter }: MergeRequest,
  { layer, isConv1D, type }: { readonly layer: AdapterLayer | undefined; readonly isConv1D: boolean; readonly type: FolderType },
  finished: (tensor: StoredTensor) => void,
): TensorToWrite {
  const encode = meter?.encode ?? encodeValues;
  async function* values() {
    signal?.throwIfAborted();
    if (isConv1D) {
      const turned = (weight: Float32Array) => transposed(weight, tensor.shape[1] ?? 1); // [out, in]
      yield encode(type, turned(await mergedTensor(tensor, checkpoint, adapter, layer, meter)), tensor.name, turned);
    } else {
      for await (const slab of mergedValues(tensor, checkpoint, adapter, layer, meter)) yield encode(type, slab, tensor.name);
    }
    finished(tensor);
  }
  const shape = isConv1D ? tensor.shape.toReversed() : tensor.shape;
  return { name: nameInFile(tensor), dtype: type, shape, data: values };
}

/** Types as configurations call them. */
const configNames: Readonly<Record<FolderType, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** The type that most weights of a checkpoint have where the base's types are kept. */
export function prevailingType(tensors: Iterable<StoredTensor>, type: FolderType | "original" = "original"): FolderType {
  const weights = { F32: 0, F16: 0, BF16: 0 };
  const typeOf = typesOf(type);
  for (const tensor of tensors) weights[typeOf(tensor)] += elementCount(tensor.shape) ?? 0;
  return weights.F16 > Math.max(weights.F32, weights.BF16) ? "F16" : weights.BF16 > weights.F32 ? "BF16" : "F32";
}

async function writeCompanion(folder: string, companion: Companion, form: ConfigForm): Promise<void> {
  if (companion.name !== "config.json") return copyCompanion(folder, companion);
  const text = "text" in companion ? companion.text : await readRequiredText(companion.path);
  await writeFileAtomic(join(folder, companion.name), configInForm(text, form));
}

/** Writes a file that lies beside the weights as it is. */
export async function copyCompanion(folder: string, companion: Companion): Promise<void> {
  const target = join(folder, companion.name);
  await makeFolder(dirname(target));
  if ("text" in companion) await writeFileAtomic(target, companion.text);
  else {
    // A pipe that nobody writes to would be waited for without end.
    if (!(await stat(companion.path)).isFile()) throw new InputError(`${companion.path}: expected a file, found a folder, device or pipe.`);
    await copyFile(companion.path, target);
  }
}

/** Fields that transformers 5 takes as floats alone: it refuses a Gemma 2 whose cap is 30, where the base had 30.0. */
const floatFields = /^( *"(?:attn_logit_softcapping|final_logit_softcapping|initializer_range|initializer_cutoff_factor)": \d+)(,?)$/gm;

/** What of a configuration differs from the base's: the type of the weights, and a head that is its table no more. */
interface ConfigForm {
  readonly dtype: string;
  readonly tie_word_embeddings?: boolean;
}

/** The same configuration for weights in another form, without the note of how the base was quantised. Both spellings of the type are kept alike. */
function configInForm(text: string, { dtype, ...tying }: ConfigForm): string {
  try {
    const { quantization_config: _, ...config }: Record<string, unknown> = JSON.parse(text);
    const key = "torch_dtype" in config ? "torch_dtype" : "dtype";
    return `${JSON.stringify({ ...config, [key]: dtype, ...tying }, null, 2).replace(floatFields, "$1.0$2")}\n`;
  } catch (cause) {
    throw new InputError("The model's config.json is not JSON, so that no merged model can be written. Fetch the model again.", { cause });
  }
}
