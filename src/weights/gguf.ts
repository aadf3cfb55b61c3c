import { GGMLQuantizationType, gguf } from "@huggingface/gguf";
import { InputError } from "../errors.js";
import type { ByteSource } from "./byte-source.js";
import { buildCheckpoint, type Checkpoint, elementCount, type StoredTensor } from "./checkpoint.js";
import { huggingFaceForm } from "./gguf-architectures/index.js";
import { alignmentOf, type Correction, checkGgufHeader } from "./gguf-header.js";
import { isStoredType, storedByteLength, storedTypeNames } from "./stored-types.js";

/** Metadata as the file states it; 64-bit numbers are numbers where they are exact, else bigints. */
export type GgufMetadata = Readonly<Record<string, unknown>>;

/** A GGUF file as it stands: names, order of rows and all are llama.cpp's; shapes are row-major, [out, in]. */
export interface RawGguf {
  readonly metadata: GgufMetadata;
  /** The values of the entries in the bytes of the file, their types in front, in its order. */
  readonly encodedEntries: () => Promise<readonly (readonly [key: string, value: Uint8Array])[]>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** A model from a GGUF file, as Hugging Face's checkpoint of it is: names, order of rows, values. */
export interface GgufModel {
  readonly metadata: GgufMetadata;
  readonly checkpoint: Checkpoint;
  /** Its `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Reads the header of a GGUF model, or of all parts of one, in order. Weights are read when asked for. */
export async function readGguf(...parts: readonly [ByteSource, ...ByteSource[]]): Promise<GgufModel> {
  const [{ name }] = parts;
  const { metadata, tensors } = await readGgufParts(parts);
  const form = await huggingFaceForm(name, metadata, tensors);
  return { metadata, checkpoint: buildCheckpoint(form.tensors), config: form.config };
}

/** A model of one part or several as it stands. Only the first part has the metadata of the model. */
export async function readGgufParts(parts: readonly [ByteSource, ...ByteSource[]]): Promise<RawGguf> {
  const first = await readRawGguf(parts[0]);
  const count = first.metadata["split.count"] ?? 1;
  if (count !== parts.length) {
    throw new InputError(
      parts.length === 1
        ? `${parts[0].name} is one of ${String(count)} parts of a model. Keep them in one folder under their names (NAME-00001-of-00003.gguf), or join them: llama-gguf-split --merge FIRST_PART OUT.gguf.`
        : `${parts[0].name} is named as one of ${parts.length} parts of a model, but says that there are ${String(count)}. Fetch the files again.`,
    );
  }
  const tensors = new Map(first.tensors);
  for (const [index, part] of parts.entries()) {
    const { metadata, tensors: more } = index === 0 ? first : await readRawGguf(part);
    const number = metadata["split.no"] ?? 0;
    if (number !== index) throw new InputError(`${part.name} says that it is part ${String(number)}, not ${index}. Fetch the files again.`);
    for (const [name, tensor] of more) {
      if (index > 0 && tensors.has(name))
        throw new InputError(`${part.name}: tensor ${name} is in another part too. Fetch the files again.`);
      tensors.set(name, tensor);
    }
  }
  const total = first.metadata["split.tensors.count"] ?? tensors.size;
  if (total !== tensors.size) {
    throw new InputError(`${parts[0].name}: the parts have ${tensors.size} tensors together, not ${String(total)}. Fetch the files again.`);
  }
  return { ...first, tensors };
}

/** Reads and checks metadata and the table of tensors: every tensor lies inside the file, none overlaps another. */
export async function readRawGguf(source: ByteSource): Promise<RawGguf> {
  const { byteLength, corrections, values } = await checkGgufHeader(source);
  const parsed = await parseHeader(source);
  const metadata = correct(
    Object.fromEntries(Object.entries(parsed.metadata).map(([key, value]) => [key, plainNumbers(value)])),
    corrections,
  );
  const alignment = alignmentOf(source, metadata["general.alignment"]);
  const dataStart = Math.ceil(byteLength / alignment) * alignment;

  const tensors = new Map<string, StoredTensor>();
  const refused: string[] = [];
  for (const { name, shape, dtype, offset } of parsed.tensorInfos) {
    const type: string = GGMLQuantizationType[dtype] ?? `type ${dtype}`;
    if (!isStoredType(type)) {
      refused.push(`${name} (${type})`);
      continue;
    }
    const rows = shape.map(Number).reverse(); // ggml states the innermost dimension first
    tensors.set(name, placeTensor(source, { name, type, shape: rows }, dataStart, Number(offset), alignment));
  }
  if (refused.length > 0) {
    throw new InputError(
      `${source.name}: ${refused.length} tensors are stored in a type that is not read, such as ${refused.slice(0, 3).join(", ")}. ` +
        `Types that are read: ${storedTypeNames.join(", ")}. Use another quantisation of the model.`,
    );
  }
  checkOverlap(source, [...tensors.values()]);
  const encodedEntries = () =>
    Promise.all([...values].map(async ([key, { offset, byteLength }]) => [key, await source.read(offset, byteLength)] as const));
  return { metadata, tensors, encodedEntries };
}

function placeTensor(
  source: ByteSource,
  tensor: Pick<StoredTensor, "name" | "type" | "shape">,
  dataStart: number,
  offset: number,
  alignment: number,
): StoredTensor {
  const { name, type, shape } = tensor;
  const where = `${source.name}: tensor ${JSON.stringify(name)}`;
  const count = elementCount(shape);
  const rowBytes = storedByteLength(type, shape.at(-1) ?? 1);
  const byteLength = count === undefined ? undefined : storedByteLength(type, count);
  if (byteLength === undefined || rowBytes === undefined) {
    throw new InputError(`${where} has the impossible shape [${shape.join(", ")}] for ${type}. The file is damaged: fetch it again.`);
  }
  if (!Number.isSafeInteger(offset) || offset % alignment !== 0) {
    throw new InputError(
      `${where} begins at ${offset}, which is no multiple of the alignment ${alignment}. The file is damaged: fetch it again.`,
    );
  }
  if (dataStart + offset + byteLength > source.size) {
    throw new InputError(
      `${where} needs the bytes up to ${dataStart + offset + byteLength}, but the file has ${source.size}. It is cut short: fetch it again.`,
    );
  }
  return { name, type, shape, source, offset: dataStart + offset, byteLength };
}

function checkOverlap(source: ByteSource, tensors: readonly StoredTensor[]): void {
  const sorted = [...tensors].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  let end = 0;
  for (const tensor of sorted) {
    if (tensor.offset < end) {
      throw new InputError(
        `${source.name}: the data of ${JSON.stringify(tensor.name)} overlaps another tensor's. The file is damaged: fetch it again.`,
      );
    }
    end = tensor.offset + tensor.byteLength;
  }
}

/** Lets @huggingface/gguf read the header: it asks by `fetch` for ranges of an address, and gets them from the source. */
async function parseHeader(source: ByteSource): ReturnType<typeof gguf> {
  const fetchRange = async (_address: string, request: { headers: { Range: string } }) => {
    const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.Range) ?? [];
    const start = Math.min(Number(begin), source.size);
    const bytes = await source.read(start, Math.min(Number(last) + 1, source.size) - start);
    return {
      headers: { get: () => `bytes ${begin}-${last}/${source.size}` },
      arrayBuffer: async () => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
    };
  };
  try {
    // The library uses only what is given here of a Response; portable code has no type of that name.
    return await gguf("https://file.invalid/model.gguf", { fetch: fetchRange } as unknown as NonNullable<Parameters<typeof gguf>[1]>);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InputError(`${source.name} is not a whole GGUF file: ${reason}. Fetch or convert it again.`, { cause });
  }
}

function correct(metadata: Record<string, unknown>, corrections: readonly Correction[]): GgufMetadata {
  for (const { key, index, text } of corrections) {
    const value = metadata[key];
    if (index === undefined) metadata[key] = text;
    else if (Array.isArray(value)) value[index] = text;
  }
  return metadata;
}

function plainNumbers(value: unknown): unknown {
  if (typeof value === "bigint" && value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER) return Number(value);
  return Array.isArray(value) ? value.map(plainNumbers) : value;
}
