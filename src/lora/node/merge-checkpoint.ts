import { copyFile, mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError } from "../../errors.js";
import { companionFiles } from "../../hub/model-files.js";
import type { ModelGraph } from "../../models/architecture.js";
import { type Checkpoint, elementCount, readSlabs, type StoredTensor } from "../../weights/checkpoint.js";
import { transposed } from "../../weights/kernels/transpose.js";
import { writeFileAtomic } from "../../weights/node/atomic-file.js";
import { writeFolderAtomic } from "../../weights/node/atomic-folder.js";
import { checkRoom } from "../../weights/node/disk-room.js";
import { exists } from "../../weights/node/exists.js";
import { type TensorToWrite, writeSafetensors } from "../../weights/node/write-safetensors.js";
import type { Adapter, AdapterLayer } from "../adapter.js";
import { checkFit } from "../fit.js";
import type { LinearLayer } from "../layer.js";
import { mergedWeight } from "../merge.js";
import { variantOf } from "../variants/index.js";

/** Bytes of weights in one file; beyond it a model is written in shards, as browsers and some tools cannot map more than 2 GiB. */
const MAX_SHARD_BYTES = 2e9;

/** What a merged model takes over from its base beside what says how to use it. */
const licences = ["LICENSE", "LICENSE.txt"];

/** A file that is written beside the weights: copied from a path, or given as text. */
export type Companion = { readonly name: string; readonly path: string } | { readonly name: string; readonly text: string };

export interface MergeRequest {
  /** By the model's names; see `modelCheckpoint`. */
  readonly checkpoint: Checkpoint;
  readonly model: MergedModel;
  readonly adapter: Adapter;
  /** The folder to make. It must not exist, or be empty. */
  readonly out: string;
  /** What messages call the model. */
  readonly modelName: string;
  /** config.json (its `dtype` becomes float32) and what the tokenizer needs; see `companionsOfFolder`. */
  readonly companions: readonly Companion[];
  /** Called after each tensor, with bytes. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
  readonly maxShardBytes?: number;
}

/** What merging asks of a model: its layers, and the head, which an adapter of PEFT may sit at too. */
export type MergedModel = Pick<ModelGraph, "linearGroups" | "weights" | "head">;

export interface MergedFolder {
  readonly folder: string;
  /** Names of the files with weights. */
  readonly files: readonly string[];
  readonly mergedLayers: number;
  /** Bytes of weights. */
  readonly bytes: number;
}

/**
 * Writes a model with an adapter folded into its weights, as a folder that transformers loads. Everything is written as F32: added to the
 * stored 16- or 4-bit numbers, a small change would be rounded away. Tensors are read, merged and written one at a time; the folder
 * appears whole or not at all.
 */
export async function mergeCheckpoint(request: MergeRequest): Promise<MergedFolder> {
  checkFit(request.adapter, linearLayersOf(request.model), request.modelName);
  return writeModel(request);
}

/** The same with an adapter that fits; one without layers leaves the checkpoint as it is. */
export async function writeModel(request: MergeRequest): Promise<MergedFolder> {
  const { checkpoint, adapter } = request;
  refuseUnreadable(checkpoint, request.modelName);

  const bytes = [...checkpoint.tensors.values()].reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
  const shards = splitIntoShards([...checkpoint.tensors.values()], request.maxShardBytes ?? MAX_SHARD_BYTES);
  const folder = await writeFolderAtomic(request.out, "the merged model", async (unfinished) => {
    await checkRoom(dirname(unfinished), "the merged model", bytes, "choose a folder on another disk");
    await writeShards(unfinished, shards, request);
    for (const companion of request.companions) await writeCompanion(unfinished, companion);
  });
  return { folder, files: shards.map((shard) => shard.file), mergedLayers: adapter.layers.length, bytes };
}

/** The files of a model's folder that a merged model needs too. */
export async function companionsOfFolder(folder: string): Promise<Companion[]> {
  const companions = [...companionFiles, ...licences].map((name) => ({ name, path: join(folder, name) }));
  const present = await Promise.all(companions.map(({ path }) => exists(path)));
  return companions.filter((_, index) => present[index]);
}

/** The module of a head that is a matrix of its own. */
const HEAD = "lm_head";

/** The linear layers that an adapter may sit at where it leaves the model: those of the blocks, and a head with a matrix of its own. */
export function linearLayersOf({ linearGroups, weights, head }: MergedModel): readonly LinearLayer[] {
  const [outputs, inputs] = (head === `${HEAD}.weight` ? weights.get(head) : undefined) ?? [];
  const layers = linearGroups.flat();
  return outputs === undefined || inputs === undefined ? layers : [...layers, { name: HEAD, inputs, outputs }];
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

/** Fills files in the order of the tensors; names as transformers gives them. */
function splitIntoShards(tensors: readonly StoredTensor[], maxBytes: number): Shard[] {
  const parts: StoredTensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const size = byteLengthOf(tensor);
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

function byteLengthOf(tensor: StoredTensor): number {
  return 4 * (elementCount(tensor.shape) ?? 0);
}

async function writeShards(folder: string, shards: readonly Shard[], request: MergeRequest): Promise<void> {
  const adapted = new Map(request.adapter.layers.map((layer) => [`${layer.name}.weight`, layer]));
  const conv1d = new Set(request.model.linearGroups.flat().flatMap(({ name, isConv1D }) => (isConv1D ? [`${name}.weight`] : [])));
  const total = shards.flatMap((shard) => shard.tensors).reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
  let done = 0;
  const finished = (tensor: StoredTensor) => {
    done += byteLengthOf(tensor);
    request.onProgress?.({ done, total });
  };
  for (const { file, tensors } of shards) {
    await writeSafetensors(
      join(folder, file),
      tensors.map((tensor) => {
        const form = { adapter: adapted.get(tensor.name), isConv1D: conv1d.has(tensor.name) };
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
  { checkpoint, signal, adapter: { config } }: MergeRequest,
  { adapter, isConv1D }: { readonly adapter: AdapterLayer | undefined; readonly isConv1D: boolean },
  finished: (tensor: StoredTensor) => void,
): TensorToWrite {
  async function* values() {
    signal?.throwIfAborted();
    if (adapter === undefined && !isConv1D) yield* readSlabs(tensor);
    else {
      const weight = await checkpoint.readFloat32(tensor.name); // [out, in]
      const form = adapter && (await variantOf(config.method).inference(adapter, async () => weight));
      const merged = adapter === undefined || form === undefined ? weight : mergedWeight(weight, adapter, form);
      yield isConv1D ? transposed(merged, tensor.shape[1] ?? 1) : merged;
    }
    finished(tensor);
  }
  const shape = isConv1D ? tensor.shape.toReversed() : tensor.shape;
  return { name: nameInFile(tensor), dtype: "F32", shape, data: values };
}

async function writeCompanion(folder: string, companion: Companion): Promise<void> {
  const target = join(folder, companion.name);
  await mkdir(dirname(target), { recursive: true });
  if (companion.name === "config.json") {
    const text = "text" in companion ? companion.text : await readFile(companion.path, "utf8");
    await writeFileAtomic(target, float32Config(text));
  } else if ("text" in companion) await writeFileAtomic(target, companion.text);
  else await copyFile(companion.path, target);
}

/** Fields that transformers 5 takes as floats alone: it refuses a Gemma 2 whose cap is 30, where the base had 30.0. */
const floatFields = /^( *"(?:attn_logit_softcapping|final_logit_softcapping|initializer_range|initializer_cutoff_factor)": \d+)(,?)$/gm;

/** The same configuration for weights in F32, without the note of how the base was quantised. Both spellings of the type are kept alike. */
function float32Config(text: string): string {
  try {
    const { quantization_config: _, ...config }: Record<string, unknown> = JSON.parse(text);
    const key = "torch_dtype" in config ? "torch_dtype" : "dtype";
    return `${JSON.stringify({ ...config, [key]: "float32" }, null, 2).replace(floatFields, "$1.0$2")}\n`;
  } catch (cause) {
    throw new InputError("The model's config.json is not JSON, so that no merged model can be written. Fetch the model again.", { cause });
  }
}
