import { InputError } from "../errors.js";
import { parseJsonText } from "../files/parse-json.js";
import type { ByteSource } from "./byte-source.js";
import { buildCheckpoint, type Checkpoint, elementCount, MAX_RANK, MAX_TENSORS, type StoredTensor } from "./checkpoint.js";
import type { StoredType } from "./stored-types.js";

// The format: 8 bytes header length N (little-endian), N bytes of JSON {"name": {"dtype", "shape", "data_offsets"}},
// then the data, offsets counted from its start.              https://github.com/huggingface/safetensors#format

/** The reference implementation refuses larger headers; so do we. */
const MAX_HEADER_BYTES = 100_000_000;
/** Names longer than this are no names. */
const MAX_NAME_CHARACTERS = 4096;

/** The types that tensors are written in. */
export type SafetensorsType = "F32" | "F16" | "BF16" | "U8" | "I8" | "I64";

/** Bytes of one element of every type the format knows; tensors of the others are listed, not read. */
const elementBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
  C64: 8,
};

/** What one file holds. */
export interface SafetensorsHeader {
  readonly tensors: readonly StoredTensor[];
  /** Tensors of other types: name → type. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** Every tensor of any type: where its bytes lie. */
  readonly places: ReadonlyMap<string, TensorPlace>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The place of a tensor's bytes, from the start of its file. */
export interface TensorPlace {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly byteLength: number;
}

/** Reads one file, or the shards of one model, as a checkpoint. Only headers are read; values come when asked for. */
export async function readSafetensors(sources: readonly ByteSource[]): Promise<Checkpoint> {
  const tensors = new Map<string, StoredTensor>();
  const unreadable = new Map<string, string>();
  for (const source of sources) {
    const header = await readSafetensorsHeader(source);
    for (const tensor of header.tensors) {
      const other = tensors.get(tensor.name);
      if (other !== undefined) {
        throw new InputError(
          `Tensor ${tensor.name} is in two files: ${other.source.name} and ${source.name}. Remove the one that is left over.`,
        );
      }
      tensors.set(tensor.name, tensor);
    }
    for (const [name, type] of header.unreadable) unreadable.set(name, type);
  }
  return buildCheckpoint(tensors, unreadable);
}

/** Reads and checks the header of one file: every length and offset lies inside it, nothing overlaps, no gap is left. */
export async function readSafetensorsHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const { json, dataStart } = await readHeaderJson(source);
  const record = parseHeaderJson(source.name, json);
  const metadata = checkMetadata(source.name, record.__metadata__);
  const names = Object.keys(record).filter((name) => name !== "__metadata__");
  if (names.length > MAX_TENSORS) throw damaged(source.name, `it lists ${names.length} tensors; at most ${MAX_TENSORS} are read`);

  const tensors: StoredTensor[] = [];
  const unreadable = new Map<string, string>();
  const places = new Map<string, TensorPlace>();
  const spans: Span[] = [];
  for (const name of names) {
    const entry = checkEntry(source, name, record[name], dataStart);
    places.set(name, entry);
    spans.push({ name, begin: entry.offset, end: entry.offset + entry.byteLength });
    if (entry.type === undefined) unreadable.set(name, entry.dtype);
    else tensors.push({ name, type: entry.type, shape: entry.shape, source, offset: entry.offset, byteLength: entry.byteLength });
  }
  checkSpans(source, spans, dataStart);
  return { tensors, unreadable, places, metadata };
}

/** The bytes before the data of a file that holds these tensors one after the other, in this order. */
export function encodeSafetensorsHeader(
  entries: readonly { readonly name: string; readonly dtype: SafetensorsType; readonly shape: readonly number[] }[],
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): { readonly header: Uint8Array; readonly byteLengths: readonly number[] } {
  const fields: string[] = [];
  if (Object.keys(metadata).length > 0) fields.push(`"__metadata__":${JSON.stringify(metadata)}`);
  const byteLengths: number[] = [];
  const seen = new Set<string>();
  let at = 0;
  for (const { name, dtype, shape } of entries) {
    const count = elementCount(shape);
    const byteLength = count === undefined ? undefined : count * (elementBytes[dtype] ?? 0);
    if (byteLength === undefined) throw new RangeError(`Tensor ${name}: shape [${shape.join(", ")}] cannot be written`);
    if (seen.has(name) || name === "__metadata__") throw new RangeError(`Two tensors would be written as ${name}`);
    seen.add(name);
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [at, at + byteLength] })}`);
    byteLengths.push(byteLength);
    at += byteLength;
  }
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  // Padded with spaces, as the format allows, so that the data starts at a multiple of 64 bytes and can be mapped in place.
  const length = Math.ceil((8 + json.byteLength) / 64) * 64 - 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return { header, byteLengths };
}

async function readHeaderJson(source: ByteSource): Promise<{ json: string; dataStart: number }> {
  if (source.size < 8) throw damaged(source.name, `it has ${source.size} bytes, fewer than the 8 that state the header's length`);
  const start = await source.read(0, 8);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw damaged(source.name, `its header would be ${length} bytes; at most ${MAX_HEADER_BYTES} are read (is it a safetensors file?)`);
  }
  if (8 + Number(length) > source.size) throw damaged(source.name, `its header would be ${length} bytes, but the file has ${source.size}`);
  const bytes = await source.read(8, Number(length));
  try {
    return { json: new TextDecoder("utf-8", { fatal: true }).decode(bytes), dataStart: 8 + Number(length) };
  } catch {
    throw damaged(source.name, "its header is not UTF-8 text");
  }
}

function parseHeaderJson(file: string, json: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = parseJsonText(json);
  } catch {
    throw damaged(file, "its header is not JSON");
  }
  if (!isRecord(value)) throw damaged(file, "its header is not a JSON object");
  const repeated = repeatedTopLevelKey(json);
  if (repeated !== undefined) throw damaged(file, `its header names ${show(repeated)} twice`);
  return value;
}

/** The first key that stands twice in the outer object: JSON.parse keeps the last silently, another reader the first. */
function repeatedTopLevelKey(json: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  let key: string | undefined;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (token === ":" && depth === 1 && key !== undefined) {
      if (seen.has(key)) return key;
      seen.add(key);
    }
    key = token.startsWith('"') && depth === 1 ? String(JSON.parse(token)) : undefined;
  }
  return undefined;
}

function checkMetadata(file: string, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {}; // mlx writes null where there is nothing to say
  if (!isRecord(value)) throw damaged(file, "its __metadata__ is not an object");
  const entries: [string, string][] = [];
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw damaged(file, `its __metadata__ entry ${show(key)} is not a string`);
    entries.push([key, text]);
  }
  return Object.fromEntries(entries);
}

interface Entry extends TensorPlace {
  readonly type: StoredType | undefined;
}

function checkEntry(source: ByteSource, name: string, value: unknown, dataStart: number): Entry {
  const bad = (what: string) => damaged(source.name, `tensor ${show(name)}: ${what}`);
  if (name.length === 0 || name.length > MAX_NAME_CHARACTERS) throw bad(`a name of ${name.length} characters`);
  if (!isRecord(value)) throw bad("its entry is not an object");
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(elementBytes, dtype)) throw bad(`its type ${show(dtype)} is unknown`);
  if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every((size) => typeof size === "number")) {
    throw bad(`its shape must be a list of at most ${MAX_RANK} numbers`);
  }
  const count = elementCount(shape);
  if (count === undefined) throw bad(`its shape [${shape.join(", ")}] is beyond reason`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every((at) => Number.isSafeInteger(at) && at >= 0)) {
    throw bad("its data_offsets must be two whole numbers");
  }
  const [begin, end]: number[] = offsets;
  if (begin === undefined || end === undefined || begin > end || dataStart + end > source.size) {
    throw bad(`its data would be bytes ${begin} to ${end} of ${source.size - dataStart}: the file is cut short or damaged`);
  }
  const needed = count * (elementBytes[dtype] ?? 0);
  if (end - begin !== needed) throw bad(`shape [${shape.join(", ")}] of ${dtype} needs ${needed} bytes, ${end - begin} are given`);
  const type = dtype === "F32" || dtype === "F16" || dtype === "BF16" ? dtype : undefined;
  return { dtype, type, shape, offset: dataStart + begin, byteLength: needed };
}

interface Span {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

/** The format has neither overlaps nor gaps: either would let one file be read in two ways, or hide bytes in it. */
function checkSpans(source: ByteSource, spans: readonly Span[], dataStart: number): void {
  let at = dataStart;
  let before = "the header";
  for (const { name, begin, end } of [...spans].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < at) throw damaged(source.name, `the data of ${show(name)} overlaps that of ${show(before)}`);
    if (begin > at) throw damaged(source.name, `${begin - at} bytes between ${show(before)} and ${show(name)} belong to no tensor`);
    at = end;
    before = name;
  }
  if (at !== source.size) throw damaged(source.name, `${source.size - at} bytes after the last tensor belong to no tensor`);
}

/** A name from an untrusted file, short and in quotes, safe on a terminal. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function damaged(file: string, what: string): InputError {
  return new InputError(`${file} is not a whole safetensors file: ${what}. Fetch or export it again.`);
}
