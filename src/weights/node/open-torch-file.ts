import * as yauzl from "yauzl";
import { InputError } from "../../errors.js";
import { buildCheckpoint, type Checkpoint, elementCount, MAX_RANK, MAX_TENSORS, type StoredTensor } from "../checkpoint.js";
import { type PickledTensor, type PickleValue, readPickle } from "../pickle.js";
import { type StoredType, storedFormats } from "../stored-types.js";
import { FileByteSource } from "./file-byte-source.js";

// A file of torch.save since PyTorch 1.6: a zip without compression, with `data.pkl` (which tensors there are) and `data/0`, `data/1`, …
// (their storages).                        https://docs.pytorch.org/docs/stable/notes/serialization.html

/** The list of tensors of the largest models takes a hundredth of this. */
const MAX_LIST_BYTES = 64_000_000;
/** Storages that a checkpoint reads, by PyTorch's names of their classes. */
const storageTypes: Readonly<Record<string, StoredType>> = { FloatStorage: "F32", HalfStorage: "F16", BFloat16Storage: "BF16" };

interface Entry {
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Opens a dictionary of tensors that PyTorch saved (`adapter_model.bin`, `lora.pt`). The pickle in it is read as data, and never executed.
 *
 * @throws InputError for a file that is none, and for one that holds anything but tensors and plain data.
 */
export async function openTorchFile(path: string): Promise<Checkpoint> {
  const source = await FileByteSource.open(path);
  const entries = await listEntries(source);
  const list = [...entries].find(([name]) => /^[^/]+\/data\.pkl$/.test(name));
  if (list === undefined) throw new InputError(`${path} is a zip, but no file of PyTorch: it has no data.pkl.`);
  const [name, { offset, byteLength }] = list;
  if (byteLength > MAX_LIST_BYTES) throw new InputError(`${path}: its list of tensors has ${byteLength} bytes, which is beyond reason.`);
  const value = readPickle(await source.read(offset, byteLength), path);
  const folder = name.slice(0, -"data.pkl".length);
  const tensors = new Map<string, StoredTensor>();
  const unreadable = new Map<string, string>();
  for (const [key, tensor] of tensorsOf(value, path)) {
    const { storage } = tensor;
    const type = Object.hasOwn(storageTypes, storage.type) ? storageTypes[storage.type] : undefined;
    if (type === undefined) unreadable.set(key, storage.type.replace(/Storage$/, ""));
    else tensors.set(key, { ...placeOf(tensor, type, entries.get(`${folder}data/${storage.key}`), `${path}: ${key}`), name: key, source });
  }
  return buildCheckpoint(tensors, unreadable);
}

/** Every file in the zip. What is compressed is no file of PyTorch. */
async function listEntries(source: FileByteSource): Promise<ReadonlyMap<string, Entry>> {
  const { name: path } = source;
  const found = new Map<string, Entry>();
  let zip: yauzl.ZipFile | undefined;
  try {
    zip = await yauzl.fromRandomAccessReaderPromise(new SourceReader(source), source.size, { lazyEntries: true, autoClose: false });
    for await (const entry of zip.eachEntry()) {
      if (entry.compressionMethod !== 0)
        throw new InputError(`${path} is a compressed zip; PyTorch does not compress. Is it another file?`);
      if (found.size > MAX_TENSORS) throw new InputError(`${path} holds more than ${MAX_TENSORS} files, which is beyond reason.`);
      const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
      found.set(entry.fileName, { offset: fileDataStart, byteLength: entry.uncompressedSize });
    }
    return found;
  } catch (error) {
    throw error instanceof InputError ? error : notAZip(path, error);
  } finally {
    zip?.close();
  }
}

/** Hands yauzl the bytes of a source: what a damaged file asks for beyond its end is an error there, where its own reader throws. */
class SourceReader extends yauzl.RandomAccessReader {
  readonly #source: FileByteSource;

  constructor(source: FileByteSource) {
    super();
    this.#source = source;
  }

  override read(buffer: Buffer, offset: number, length: number, position: number, callback: (error: Error | null) => void): void {
    this.#source.read(position, length).then(
      (bytes) => {
        buffer.set(bytes, offset);
        callback(null);
      },
      (error: Error) => callback(error),
    );
  }

  override close(callback: (error: Error | null) => void): void {
    callback(null); // the source stays open for the tensors
  }
}

function notAZip(path: string, cause: unknown): InputError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new InputError(
    `${path} is no file of PyTorch that can be read (${reason}). It is damaged, or older than PyTorch 1.6: load it in Python and save it again, as safetensors.`,
    { cause },
  );
}

/** Where training checkpoints keep the dictionary of their model: the examples of PyTorch and of loralib, and Lightning. */
const MODEL_KEYS = ["model_state_dict", "state_dict"];

/** The tensors of a dictionary; of a training checkpoint those of its model. */
function tensorsOf(saved: PickleValue, path: string): [name: string, tensor: PickledTensor][] {
  const value = saved instanceof Map ? (MODEL_KEYS.map((key) => saved.get(key)).find((inner) => inner instanceof Map) ?? saved) : saved;
  if (!(value instanceof Map)) throw new InputError(`${path} holds no dictionary of tensors. Save a state_dict.`);
  const named = [...value].filter((entry): entry is [string, PickledTensor] => typeof entry[0] === "string" && isTensor(entry[1]));
  if (named.length < value.size) {
    const other = [...value.keys()].find((key) => !named.some(([name]) => name === key));
    throw new InputError(`${path} holds more than tensors (${String(other)}). Save the state_dict alone.`);
  }
  if (named.length > MAX_TENSORS) throw new InputError(`${path} holds ${named.length} tensors, which is beyond reason.`);
  return named;
}

const isTensor = (value: PickleValue): value is PickledTensor =>
  typeof value === "object" && value !== null && "kind" in value && value.kind === "tensor";

/** Where a tensor's values lie, in the order of its shape or, for a matrix that was turned, column by column. */
function placeOf(tensor: PickledTensor, type: StoredType, entry: Entry | undefined, where: string) {
  const { offset, shape, strides, storage } = tensor;
  const count = shape.length <= MAX_RANK ? elementCount(shape) : undefined;
  const bytes = storedFormats[type].bytes;
  if (entry === undefined || count === undefined || offset + count > storage.elements || (offset + count) * bytes > entry.byteLength)
    throw new InputError(`${where} lies outside its storage. The file is damaged: fetch it again.`);
  const place = { type, shape, offset: entry.offset + offset * bytes, byteLength: count * bytes };
  if (isInOrder(shape, strides)) return place;
  if (shape.length === 2 && isInOrder([...shape].reverse(), [...strides].reverse())) return { ...place, isTransposed: true as const };
  throw new InputError(`${where} is a view with strides ${strides.join(", ")}. Save it from Python with .contiguous().`);
}

function isInOrder(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis] ?? 1;
  }
  return true;
}
