import { InputError } from "../errors.js";
import type { ByteSource } from "./byte-source.js";
import { MAX_DIMENSION, MAX_TENSORS } from "./checkpoint.js";

// Checks the header of a GGUF file before @huggingface/gguf parses it. The library bounds counts, but it pads the file's
// end with zeros, takes broken UTF-8, and lets a later key replace an earlier one; a header that passes here is whole.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

/** Largest header: the library reads at most 50 MB, and the largest vocabularies take about 10 MB. */
const MAX_HEADER_BYTES = 48_000_000;
const MAX_KEYS = 10_000;
/** The library's own bound on the elements of one array. */
const MAX_ARRAY_ELEMENTS = 1_000_000;
const MAX_STRING_BYTES = 10_000_000;
const MAX_NAME_BYTES = 1024;
const MAX_ARRAY_DEPTH = 2;
const MAX_ALIGNMENT = 65_536;
/** ggml tensors have at most four dimensions (GGML_MAX_DIMS). */
const MAX_GGML_RANK = 4;
/** Smallest entries, from which absurd counts are seen before anything is read: key length + type + one byte; name length, rank, type, offset. */
const MIN_KEY_BYTES = 13;
const MIN_TENSOR_BYTES = 24;

/** Bytes of the fixed-size value types 0 to 12; strings (8) and arrays (9) have none. */
const valueBytes: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
const STRING = 8;
const ARRAY = 9;

/** What the check found besides "it is whole". */
export interface GgufHeaderCheck {
  /** Bytes up to the end of the last tensor's entry. */
  readonly byteLength: number;
  /** Strings that the library may read wrongly, as they stand in the file. */
  readonly corrections: readonly Correction[];
  /** Where the value of each entry lies, its type in front. */
  readonly values: ReadonlyMap<string, { readonly offset: number; readonly byteLength: number }>;
}

/**
 * The library drops a byte order mark at the start of a string (Llama 2 has a token that is one), and cuts the last element of
 * an array short, without an error, where it crosses the end of one of its reads. Both are set right afterwards.
 */
export interface Correction {
  readonly key: string;
  /** Index in the array; undefined for a plain string. */
  readonly index: number | undefined;
  readonly text: string;
}

/** Throws InputError unless the header is complete, bounded and unambiguous. */
export async function checkGgufHeader(source: ByteSource): Promise<GgufHeaderCheck> {
  const cursor = new HeaderCursor(source);
  await cursor.need(24);
  const magic = cursor.u32();
  if (magic !== 0x46554747) throw cursor.damaged("it does not start with the letters GGUF");
  const version = cursor.u32();
  if (version !== 2 && version !== 3) {
    throw new InputError(
      `${source.name}: GGUF version ${version} (or big-endian); versions 2 and 3, little-endian, are read. Convert the model again.`,
    );
  }
  const tensors = cursor.count("tensors", MAX_TENSORS, MIN_TENSOR_BYTES);
  const keys = cursor.count("metadata entries", MAX_KEYS, MIN_KEY_BYTES);

  const corrections: Correction[] = [];
  const seen = new Set<string>();
  const values = new Map<string, { readonly offset: number; readonly byteLength: number }>();
  for (let i = 0; i < keys; i++) {
    const key = await cursor.text(MAX_NAME_BYTES, "a metadata key");
    if (seen.has(key) || key === "__proto__") throw cursor.damaged(`metadata key ${JSON.stringify(key)} stands twice or is not allowed`);
    seen.add(key);
    const offset = cursor.at;
    await skipValue(cursor, key, corrections);
    values.set(key, { offset, byteLength: cursor.at - offset });
  }
  seen.clear();
  for (let i = 0; i < tensors; i++) {
    const name = await cursor.text(MAX_NAME_BYTES, "a tensor's name");
    if (seen.has(name)) throw cursor.damaged(`tensor ${JSON.stringify(name)} stands twice`);
    seen.add(name);
    await checkTensorEntry(cursor, name);
  }
  return { byteLength: cursor.at, corrections, values };
}

/** The start of the tensor data: the header's end, rounded up to `general.alignment`. */
export function alignmentOf(source: ByteSource, value: unknown): number {
  const alignment = value ?? 32;
  if (typeof alignment !== "number" || alignment < 1 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) !== 0) {
    throw new InputError(`${source.name}: general.alignment is ${String(alignment)}; expected a power of two up to ${MAX_ALIGNMENT}.`);
  }
  return alignment;
}

async function skipValue(cursor: HeaderCursor, key: string, corrections: Correction[]): Promise<void> {
  await cursor.need(4);
  const type = cursor.u32();
  if (type === STRING) {
    const text = await cursor.text(MAX_STRING_BYTES, `the value of ${key}`);
    if (text.startsWith("\uFEFF")) corrections.push({ key, index: undefined, text });
  } else if (type === ARRAY) await skipArray(cursor, key, corrections, 1);
  else await cursor.skip(fixedBytes(cursor, type, key));
}

async function skipArray(cursor: HeaderCursor, key: string, corrections: Correction[], depth: number): Promise<void> {
  if (depth > MAX_ARRAY_DEPTH) throw cursor.damaged(`${key} nests arrays more than ${MAX_ARRAY_DEPTH} deep`);
  await cursor.need(12);
  const type = cursor.u32();
  const smallest = type === STRING ? 8 : type === ARRAY ? 12 : fixedBytes(cursor, type, key);
  const length = cursor.count(`elements of ${key}`, MAX_ARRAY_ELEMENTS, smallest);
  if (type === STRING) {
    for (let index = 0; index < length; index++) {
      const text = await cursor.text(MAX_STRING_BYTES, `element ${index} of ${key}`);
      if (depth === 1 && (index === length - 1 || text.startsWith("\uFEFF"))) corrections.push({ key, index, text });
    }
  } else if (type === ARRAY) {
    for (let i = 0; i < length; i++) await skipArray(cursor, key, corrections, depth + 1);
  } else await cursor.skip(length * smallest);
}

function fixedBytes(cursor: HeaderCursor, type: number, key: string): number {
  const bytes = valueBytes[type];
  if (bytes === undefined) throw cursor.damaged(`${key} has the unknown value type ${type}`);
  return bytes;
}

async function checkTensorEntry(cursor: HeaderCursor, name: string): Promise<void> {
  await cursor.need(4);
  const rank = cursor.u32();
  if (rank > MAX_GGML_RANK)
    throw cursor.damaged(`tensor ${JSON.stringify(name)} has ${rank} dimensions, at most ${MAX_GGML_RANK} are possible`);
  await cursor.need(rank * 8 + 12);
  for (let i = 0; i < rank; i++) {
    const size = cursor.u64();
    if (size > MAX_DIMENSION) throw cursor.damaged(`tensor ${JSON.stringify(name)} has a dimension of ${size}`);
  }
  cursor.u32(); // type, checked with the name of the type at hand
  cursor.u64(); // offset, checked against the file's size
}

/** Reads the header front to back, a window at a time, never beyond the file or the limit. */
class HeaderCursor {
  at = 0;
  #window: DataView = new DataView(new ArrayBuffer(0));
  #start = 0;
  readonly #source: ByteSource;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(source: ByteSource) {
    this.#source = source;
  }

  damaged(what: string): InputError {
    return new InputError(`${this.#source.name} is not a whole GGUF file: ${what} (near byte ${this.at}). Fetch or convert it again.`);
  }

  /** Makes the next `bytes` readable. */
  async need(bytes: number): Promise<void> {
    if (this.at + bytes > this.#source.size) throw this.damaged(`it ends after ${this.#source.size} bytes, inside its header`);
    if (this.at + bytes > MAX_HEADER_BYTES) throw this.damaged(`its header is longer than ${MAX_HEADER_BYTES} bytes`);
    if (this.at + bytes <= this.#start + this.#window.byteLength) return;
    const length = Math.min(Math.max(bytes, 1 << 20), this.#source.size - this.at);
    const read = await this.#source.read(this.at, length);
    this.#window = new DataView(read.buffer, read.byteOffset, read.byteLength);
    this.#start = this.at;
  }

  async skip(bytes: number): Promise<void> {
    if (this.at + bytes > Math.min(this.#source.size, MAX_HEADER_BYTES)) await this.need(bytes);
    this.at += bytes;
  }

  u32(): number {
    const value = this.#window.getUint32(this.at - this.#start, true);
    this.at += 4;
    return value;
  }

  /** A 64-bit number, as a double: beyond 2^53 it is inexact and, wherever one is used here, out of bounds. */
  u64(): number {
    const value = Number(this.#window.getBigUint64(this.at - this.#start, true));
    this.at += 8;
    return value;
  }

  /** A count of things of at least `smallest` bytes each: bounded by the limit and by what is left of the file. */
  count(what: string, limit: number, smallest: number): number {
    const value = this.u64();
    if (value > limit) throw this.damaged(`it claims ${value} ${what}; at most ${limit} are read`);
    if (value * smallest > this.#source.size - this.at) throw this.damaged(`it claims ${value} ${what}, more than the file has room for`);
    return value;
  }

  async text(limit: number, what: string): Promise<string> {
    await this.need(8);
    const length = this.u64();
    if (length > limit) throw this.damaged(`${what} would be ${length} bytes long; at most ${limit} are read`);
    await this.need(length);
    const begin = this.#window.byteOffset + this.at - this.#start;
    this.at += length;
    try {
      return this.#decoder.decode(new Uint8Array(this.#window.buffer, begin, length));
    } catch {
      throw this.damaged(`${what} is not UTF-8 text`);
    }
  }
}
