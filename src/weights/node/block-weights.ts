import { basename, dirname, join } from "node:path";
import { type Checkpoint, elementCount, readSlabs, readStoredSlabs, type StoredTensor } from "../checkpoint.js";
import { type Blocks, packNibbles, roundToBlocks, roundToBytes } from "../kernels/blocks.js";
import { readSafetensorsHeader, type SafetensorsHeader, type TensorPlace } from "../safetensors.js";
import { type BlockForm, blockForm, type CodeType, dequantise, unpackBlocks } from "../stored-types.js";
import { openOrWrite } from "./cache-file.js";
import { checkRoom } from "./disk-room.js";
import { FileByteSource } from "./file-byte-source.js";
import { fingerprint, type MappedTensor } from "./mapped-weights.js";
import { type TensorToWrite, writeSafetensors } from "./write-safetensors.js";

/** A weight [out, in] in blocks along its rows, in a file that the engine maps. */
export interface MappedBlocks {
  readonly shape: readonly number[];
  readonly size: number;
  readonly codeType: CodeType;
  readonly codes: TensorPlace;
  readonly scales: TensorPlace;
  readonly minimums: TensorPlace | undefined;
}

export interface BlockWeights {
  readonly folder: string;
  readonly file: string;
  readonly blocks: ReadonlyMap<string, MappedBlocks>;
  /** What stays in floating point: norms, and matrices that no whole number of blocks fits. */
  readonly float: ReadonlyMap<string, MappedTensor>;
}

export interface BlockOptions {
  readonly cacheFolder: string;
  /** Weights of the model by name. */
  readonly weights: Iterable<string>;
  /** Those of them that are rounded to 8 bits rather than 4 where the file holds them in floating point. */
  readonly eightBits: ReadonlySet<string>;
  /** With bytes of the file that is written. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Goes into the key of every cache file: raise it when what is written changes. */
const LAYOUT_VERSION = 1;
/** Weights that share a scale where a weight is rounded here. */
export const BLOCK = 32;

/** How the file holds a weight in blocks; what a cache file says of each of them. */
type Held = Pick<BlockForm, "size" | "codes" | "hasMinimums">;

const rounded = {
  4: { size: BLOCK, codes: "uint4", hasMinimums: true },
  8: { size: BLOCK, codes: "int8", hasMinimums: false },
} as const satisfies Record<number, Held>;

/**
 * A checkpoint's matrices in blocks with scales, written once into the cache folder and mapped from there. Quantised ones
 * keep the numbers that the file has, in 4 bits or, where it has more, in 8; others are rounded.
 */
export async function mapBlockWeights(checkpoint: Checkpoint, options: BlockOptions): Promise<BlockWeights> {
  const tensors = [...options.weights].map((name) => {
    const tensor = checkpoint.tensors.get(name);
    if (tensor === undefined) throw new Error(`the checkpoint has no weight "${name}"`);
    return tensor;
  });
  const held = new Map(tensors.map((tensor) => [tensor, heldAs(tensor, options.eightBits.has(tensor.name))]));
  const key = await fingerprint(tensors, `block cache ${LAYOUT_VERSION} ${[...options.eightBits].join()}`);
  const path = join(options.cacheFolder, `${key}.4bit.safetensors`);
  return openOrWrite(
    path,
    () => openCached(path, held),
    () => writeBlocks(path, held, options),
  );
}

/** How a weight is held; undefined where it stays in floating point. */
function heldAs({ type, shape, addend }: StoredTensor, eightBits: boolean): Held | undefined {
  if (shape.length !== 2 || addend !== undefined) return undefined;
  const stored = blockForm(type);
  if (stored !== undefined) return stored;
  return (shape[1] ?? 0) % BLOCK === 0 ? rounded[eightBits ? 8 : 4] : undefined;
}

const bitsOf = ({ codes }: Held) => (codes === "int8" ? 8 : 4);

type Part = "codes" | "scales" | "minimums";
const partName = (name: string, part: Part) => `${name}#${part}`;

/** Types and shapes of a matrix's parts, in the order of the file: that of codes ends at a multiple of four bytes. */
function partsOf([outputs = 0, inputs = 0]: readonly number[], held: Held): [Part, TensorToWrite["dtype"], readonly number[]][] {
  const scales = [outputs, inputs / held.size];
  return [
    ["scales", "F32", scales],
    ...(held.hasMinimums ? [["minimums", "F32", scales] as [Part, "F32", number[]]] : []),
    ["codes", held.codes === "int8" ? "I8" : "U8", [outputs, (inputs * bitsOf(held)) / 8]],
  ];
}

async function openCached(path: string, held: ReadonlyMap<StoredTensor, Held | undefined>): Promise<BlockWeights | undefined> {
  let header: SafetensorsHeader;
  try {
    header = await readSafetensorsHeader(await FileByteSource.open(path));
  } catch {
    return undefined; // not there, or damaged: it is written again
  }
  const [folder, file] = [dirname(path), basename(path)];
  const blocks = new Map<string, MappedBlocks>();
  const float = new Map<string, MappedTensor>();
  for (const [{ name, shape }, form] of held) {
    if (form === undefined) {
      const place = header.places.get(name);
      if (place?.shape.join() !== shape.join()) return undefined;
      float.set(name, { name, dtype: "float32", shape, folder, file, offset: place.offset, byteLength: place.byteLength });
      continue;
    }
    const places = new Map<Part, TensorPlace>();
    for (const [part, dtype, shapeOfPart] of partsOf(shape, form)) {
      const place = header.places.get(partName(name, part));
      if (place?.dtype !== dtype || place.shape.join() !== shapeOfPart.join()) return undefined;
      places.set(part, place);
    }
    const [codes, scales, minimums] = [places.get("codes"), places.get("scales"), places.get("minimums")];
    if (codes === undefined || scales === undefined) return undefined;
    blocks.set(name, { shape, size: form.size, codeType: form.codes, codes, scales, minimums });
  }
  return { folder, file, blocks, float };
}

async function writeBlocks(path: string, held: ReadonlyMap<StoredTensor, Held | undefined>, options: BlockOptions): Promise<void> {
  const entries = [...held].flatMap(([tensor, form]) =>
    form === undefined
      ? [{ name: tensor.name, dtype: "F32" as const, shape: tensor.shape, data: () => readSlabs(tensor) }]
      : encodedParts(tensor, form),
  );
  const bytesOf = ({ dtype, shape }: TensorToWrite) => (dtype === "F32" ? 4 : 1) * (elementCount(shape) ?? 0);
  const total = entries.reduce((sum, entry) => sum + bytesOf(entry), 0);
  await checkRoom(dirname(path), "the 4-bit form of the model", total, "choose another cache folder");
  let done = 0;
  const counted = entries.map((entry) => ({
    ...entry,
    data: async function* () {
      options.signal?.throwIfAborted();
      const data = await entry.data();
      if (Symbol.asyncIterator in data) yield* data;
      else yield data;
      done += bytesOf(entry);
      options.onProgress?.({ done, total });
    },
  }));
  await writeSafetensors(path, counted, { format: "lorikeet-blocks" });
}

/** The parts of one matrix, made together when the first of them is asked for and let go with the last. */
function encodedParts(tensor: StoredTensor, held: Held): TensorToWrite[] {
  let encoded: Promise<Encoded> | undefined;
  return partsOf(tensor.shape, held).map(([part, dtype, shape]) => ({
    name: partName(tensor.name, part),
    dtype,
    shape,
    data: async () => {
      encoded ??= encode(tensor, held);
      const data = (await encoded)[part];
      if (part === "codes") encoded = undefined;
      return data;
    },
  }));
}

type Encoded = Readonly<Record<Part, ArrayBufferView>>;

async function encode(tensor: StoredTensor, held: Held): Promise<Encoded> {
  const count = elementCount(tensor.shape) ?? 0;
  const isNibbles = held.codes !== "int8";
  const scales = new Float32Array(count / held.size);
  const minimums = new Float32Array(held.hasMinimums ? scales.length : 0);
  const codes = new Uint8Array((count * bitsOf(held)) / 8);
  let at = 0;
  for await (const slab of readBlocks(tensor, held)) {
    const bytes = isNibbles ? packNibbles(slab.codes) : new Uint8Array(slab.codes.buffer);
    codes.set(bytes, (at * bitsOf(held)) / 8);
    scales.set(slab.scales, at / held.size);
    if (held.hasMinimums) minimums.set(slab.minimums, at / held.size);
    at += slab.codes.length;
  }
  return { codes, scales, minimums };
}

/** The blocks of a matrix in order: as they are stored, or rounded. */
async function* readBlocks(tensor: StoredTensor, held: Held): AsyncGenerator<Blocks> {
  const stored = blockForm(tensor.type);
  const round = held.codes === "int8" ? roundToBytes : roundToBlocks;
  for await (const { bytes, count } of readStoredSlabs(tensor)) {
    yield stored === undefined ? round(dequantise(tensor.type, bytes, count), held.size) : unpackBlocks(stored, bytes, count);
  }
}
