import { GGMLQuantizationType, GGUFValueType } from "@huggingface/gguf";
import { type StoredType, storedByteLength } from "../../weights/stored-types.js";

// The beginning of a GGUF file, version 3, little-endian: metadata, then the table of tensors.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The package that reads headers also writes them, but aligns before the table.

/** An entry of the metadata with the type that it is stored as. */
export type GgufEntry = readonly [key: string, value: GgufValue];

/** A value of the metadata. */
export type GgufValue =
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "uint32" | "int32" | "float32"; readonly value: number }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "int32s" | "float32s"; readonly value: readonly number[] }
  /** As another file has it, its type in front. */
  | { readonly type: "encoded"; readonly value: Uint8Array };

/** What the table says of a tensor; its shape is row-major, outermost first. */
export interface GgufTensorInfo {
  readonly name: string;
  readonly type: StoredType;
  readonly shape: readonly number[];
}

/** A tensor to be written. Its bytes are asked for when its turn comes, so that a model is never in memory as a whole. */
export interface GgufTensor extends GgufTensorInfo {
  /** The data, in one piece or in several. */
  readonly data: () => Iterable<ArrayBufferView> | AsyncIterable<ArrayBufferView>;
}

const VERSION = 3;
/** Where nothing else is said: the data of each tensor begins at a multiple. */
const ALIGNMENT = 32;

/** The header, padded to where the data begins, and the bytes of each tensor. Behind each tensor come zeros up to `paddedLength`. */
export function encodeGgufHeader(entries: readonly GgufEntry[], tensors: readonly GgufTensorInfo[]): GgufHeader {
  const out = new Bytes();
  out.raw(new TextEncoder().encode("GGUF"));
  out.uint32(VERSION);
  out.uint64(tensors.length);
  out.uint64(entries.length);
  for (const [key, value] of entries) {
    out.text(key);
    writeValue(out, value);
  }
  let offset = 0;
  const byteLengths = tensors.map((tensor) => {
    out.text(tensor.name);
    out.uint32(tensor.shape.length);
    for (const size of tensor.shape.toReversed()) out.uint64(size); // ggml states the innermost dimension first
    out.uint32(GGMLQuantizationType[tensor.type]);
    out.uint64(offset);
    const bytes = bytesOf(tensor);
    offset += paddedLength(bytes);
    return bytes;
  });
  return { header: out.take(), byteLengths };
}

export interface GgufHeader {
  readonly header: Uint8Array;
  /** Bytes of each tensor's data, without what it is padded with. */
  readonly byteLengths: readonly number[];
}

/** Bytes that data takes with the zeros behind it. */
export function paddedLength(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function bytesOf({ name, type, shape }: GgufTensorInfo): number {
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes = storedByteLength(type, shape.at(-1) ?? 1) === undefined ? undefined : storedByteLength(type, count);
  if (bytes === undefined) throw new RangeError(`${name}: rows of ${shape.at(-1)} values are no whole blocks of ${type}`);
  return bytes;
}

function writeValue(out: Bytes, entry: GgufValue): void {
  switch (entry.type) {
    case "string":
      out.uint32(GGUFValueType.STRING);
      out.text(entry.value);
      break;
    case "bool":
      out.uint32(GGUFValueType.BOOL);
      out.raw(Uint8Array.of(Number(entry.value)));
      break;
    case "uint32":
      out.uint32(GGUFValueType.UINT32);
      out.uint32(entry.value);
      break;
    case "int32":
      out.uint32(GGUFValueType.INT32);
      out.int32(entry.value);
      break;
    case "float32":
      out.uint32(GGUFValueType.FLOAT32);
      out.float32(entry.value);
      break;
    case "encoded":
      out.raw(entry.value);
      break;
    case "strings":
      writeLength(out, GGUFValueType.STRING, entry.value.length);
      for (const text of entry.value) out.text(text);
      break;
    case "int32s":
      writeLength(out, GGUFValueType.INT32, entry.value.length);
      for (const value of entry.value) out.int32(value);
      break;
    case "float32s":
      writeLength(out, GGUFValueType.FLOAT32, entry.value.length);
      for (const value of entry.value) out.float32(value);
      break;
  }
}

function writeLength(out: Bytes, elements: GGUFValueType, length: number): void {
  out.uint32(GGUFValueType.ARRAY);
  out.uint32(elements);
  out.uint64(length);
}

/** Bytes that grow. */
class Bytes {
  #bytes = new Uint8Array(4096);
  #length = 0;

  /** What was written, with zeros up to where the data begins. */
  take(): Uint8Array {
    this.#room(paddedLength(this.#length) - this.#length);
    return this.#bytes.slice(0, paddedLength(this.#length));
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.uint64(bytes.length);
    this.raw(bytes);
  }

  uint32(value: number): void {
    this.#number(4, (view) => view.setUint32(0, value, true));
  }

  int32(value: number): void {
    this.#number(4, (view) => view.setInt32(0, value, true));
  }

  float32(value: number): void {
    this.#number(4, (view) => view.setFloat32(0, value, true));
  }

  uint64(value: number): void {
    this.#number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }

  #number(length: number, write: (view: DataView) => void): void {
    const bytes = new Uint8Array(length);
    write(new DataView(bytes.buffer));
    this.raw(bytes);
  }

  #room(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + length));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
