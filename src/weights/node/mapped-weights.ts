import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { RunError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { readStretches, type Stretch } from "../byte-source.js";
import { type Checkpoint, elementCount, readSlabs, type StoredTensor } from "../checkpoint.js";
import { readSafetensors } from "../safetensors.js";
import { checkRoom } from "./disk-room.js";
import { FileByteSource } from "./file-byte-source.js";
import { writeSafetensors } from "./write-safetensors.js";

/** A tensor as the engine maps it: raw little-endian values at an offset of a file, symbolic links resolved. */
export interface MappedTensor {
  readonly name: string;
  readonly dtype: "float32" | "bfloat16";
  readonly shape: readonly number[];
  readonly folder: string;
  readonly file: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** Goes into the key of every cache file: raise it when what is written changes. */
const LAYOUT_VERSION = 1;
/** Bytes hashed at the start, the middle and the end of a tensor. */
const SAMPLE_BYTES = 512;

/**
 * Makes every tensor of a checkpoint, or those that are named, a place in a file that the engine maps, all in one folder, as the engine wants it. A
 * checkpoint of F32 and BF16 tensors stays where it is; one that holds others (quantised, F16, GGUF's q and k, transposed ones,
 * tensors at an odd offset) is written once, as float32, into a safetensors file in the cache folder, tensor by tensor.
 */
export async function mapWeights(
  checkpoint: Checkpoint,
  options: {
    readonly cacheFolder: string;
    /** What is read of the checkpoint; all of it by default. */
    readonly names?: Iterable<string>;
    /** Convert BF16 too: for an engine that cannot widen it by itself. */
    readonly float32Only?: boolean;
    /** Called while the cache file is written, with bytes. */
    readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
    readonly signal?: AbortSignal;
  },
): Promise<ReadonlyMap<string, MappedTensor>> {
  const converted = [...(options.names ?? checkpoint.tensors.keys())].flatMap((name) => checkpoint.tensors.get(name) ?? []);
  const inPlace = placesInOneFolder(converted, options.float32Only);
  if (inPlace !== undefined) return inPlace;

  const path = join(options.cacheFolder, `${await fingerprint(converted)}.safetensors`);
  const cached = (await openCached(path, converted)) ?? (await writeCache(path, converted, options));
  const written = placesInOneFolder([...cached.tensors.values()]);
  if (written === undefined) throw new RunError(`${path} was written, but cannot be mapped. Empty the cache and try again.`);
  // In the checkpoint's own order, whatever the order of the file.
  return new Map(converted.flatMap(({ name }) => written.get(name) ?? []).map((place) => [place.name, place]));
}

/** The engine maps files of one folder: either every tensor can stay in place, in one, or the checkpoint is converted. */
function placesInOneFolder(tensors: readonly StoredTensor[], float32Only = false): ReadonlyMap<string, MappedTensor> | undefined {
  const places = tensors.map(placeInFile);
  const folder = places[0]?.folder;
  const mapped = new Map<string, MappedTensor>();
  for (const place of places) {
    if (place === undefined || place.folder !== folder || (float32Only && place.dtype !== "float32")) return undefined;
    mapped.set(place.name, place);
  }
  return mapped;
}

/** Whether the engine maps these tensors where they are, each in its own type. */
export function isMappedInPlace(tensors: readonly StoredTensor[]): boolean {
  return placesInOneFolder(tensors) !== undefined;
}

/** The tensor's own place, where the engine can use its bytes as they are. */
function placeInFile(tensor: StoredTensor): MappedTensor | undefined {
  const { name, type, shape, source, offset, byteLength } = tensor;
  if (type !== "F32" && type !== "BF16") return undefined;
  const aligned = offset % (type === "F32" ? 4 : 2) === 0; // kernels read whole elements from the mapped pages
  const isAsStored = tensor.interleavedHeads === undefined && readingChanges(tensor).length === 0;
  if (!(source instanceof FileByteSource) || !aligned || !isAsStored) return undefined;
  const dtype = type === "F32" ? "float32" : "bfloat16";
  return { name, dtype, shape, folder: dirname(source.path), file: basename(source.path), offset, byteLength };
}

/** What reading does to stored numbers, beside the order of heads' rows. */
const readingChanges = ({ isTransposed, addend }: StoredTensor): readonly string[] => [
  ...(isTransposed ? ["transposed"] : []),
  ...(addend === undefined ? [] : [`+${addend}`]),
];

/** Stretches that `samplesOf` takes of a tensor. */
const SAMPLES = 3;

/** Stretches of a tensor: where it begins, its middle and its end. */
function samplesOf({ source, offset, byteLength }: StoredTensor): Stretch[] {
  const length = Math.min(SAMPLE_BYTES, byteLength);
  return [0, Math.floor((byteLength - length) / 2), byteLength - length].map((at) => ({ source, offset: offset + at, length }));
}

/**
 * A key for what would be written: names, types, shapes and places of the tensors, each file's size and time of change, and
 * three samples of every tensor. Hashing whole files would read 16 GB at each start of an 8B model. Samples of every tensor
 * tell models apart that share a layout (one fine-tuned from the other); the time of change catches an edit in place that
 * misses the samples.
 */
export async function fingerprint(tensors: readonly StoredTensor[], form = `float32 cache ${LAYOUT_VERSION}`): Promise<string> {
  const hash = createHash("sha256");
  hash.update(`lorikeet ${form}\n`);
  for (const source of new Set(tensors.map((tensor) => tensor.source))) {
    hash.update(JSON.stringify([source.size, source instanceof FileByteSource ? source.modified : 0]));
  }
  const samples = await readStretches(tensors.flatMap(samplesOf));
  tensors.forEach((tensor, index) => {
    const { name, type, shape, offset, byteLength, interleavedHeads } = tensor;
    hash.update(JSON.stringify([name, type, shape, offset, byteLength, interleavedHeads ?? 0, ...readingChanges(tensor)]));
    for (const sample of samples.slice(SAMPLES * index, SAMPLES * (index + 1))) hash.update(sample);
  });
  return hash.digest("hex").slice(0, 40);
}

/** The cache file, if it is there, whole, and holds these tensors. */
async function openCached(path: string, tensors: readonly StoredTensor[]): Promise<Checkpoint | undefined> {
  try {
    const cached = await readSafetensors([await FileByteSource.open(path)]);
    const fits = tensors.every((tensor) => cached.tensors.get(tensor.name)?.shape.join() === tensor.shape.join());
    return fits ? cached : undefined;
  } catch {
    return undefined; // not there, or damaged: it is written again
  }
}

async function writeCache(
  path: string,
  tensors: readonly StoredTensor[],
  options: { readonly onProgress?: (progress: { done: number; total: number }) => void; readonly signal?: AbortSignal },
): Promise<Checkpoint> {
  const total = tensors.reduce((sum, tensor) => sum + 4 * (elementCount(tensor.shape) ?? 0), 0);
  await makeFolder(dirname(path));
  await checkRoom(dirname(path), "the float32 form of the model", total, "choose another cache folder");
  let done = 0;
  const entries = tensors.map((tensor) => ({
    name: tensor.name,
    dtype: "F32" as const,
    shape: tensor.shape,
    data: async function* () {
      for await (const slab of readSlabs(tensor)) {
        options.signal?.throwIfAborted();
        yield slab;
        done += slab.byteLength;
        options.onProgress?.({ done, total });
      }
    },
  }));
  await writeSafetensors(path, entries, { format: "pt", layout: String(LAYOUT_VERSION) });
  return await readSafetensors([await FileByteSource.open(path)]);
}
