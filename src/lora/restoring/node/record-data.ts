import { createHash } from "node:crypto";
import { deflateSync, inflateSync } from "node:zlib";
import { InputError } from "../../../errors.js";
import type { ByteSource } from "../../../weights/byte-source.js";
import type { FileSink } from "../../../weights/node/atomic-file.js";
import type { Adapter } from "../../adapter.js";
import { fingerprintParts } from "../fingerprint.js";
import type { Place } from "../record.js";

/** Bytes that are read, kept or compared at a time. */
export const PIECE_BYTES = 2 ** 24;

/** Writes deflated pieces one after the other. */
export class PieceWriter {
  readonly #sink: FileSink;
  bytes = 0;

  constructor(sink: FileSink) {
    this.#sink = sink;
  }

  async put(piece: Uint8Array): Promise<Place> {
    const packed = deflateSync(piece);
    const place: Place = [this.bytes, packed.length];
    await this.#sink.write(packed);
    this.bytes += packed.length;
    return place;
  }
}

/** A piece again, of at most so many bytes. Throws InputError where it is not whole. */
export async function readPiece(data: ByteSource, [offset, length]: Place, mostBytes: number): Promise<Uint8Array> {
  const packed = await data.read(offset, length);
  try {
    const { buffer, byteOffset, byteLength } = inflateSync(packed, { maxOutputLength: Math.max(1, mostBytes) });
    return new Uint8Array(buffer, byteOffset, byteLength); // a Buffer's slice would be no copy
  } catch (cause) {
    throw new InputError(`${data.name} is damaged near byte ${offset}: nothing can be restored by it. Take another copy.`, { cause });
  }
}

/** The bytes of a part of a source, some at a time. */
export async function* piecesOf(source: ByteSource, offset: number, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < length; at += PIECE_BYTES) yield await source.read(offset + at, Math.min(PIECE_BYTES, length - at));
}

export async function sha256Of(source: ByteSource, offset = 0, length = source.size): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of piecesOf(source, offset, length)) hash.update(piece);
  return hash.digest("hex");
}

/** What tells an adapter from every other. */
export function fingerprintOf(adapter: Adapter): string {
  const hash = createHash("sha256");
  for (const part of fingerprintParts(adapter)) {
    hash.update(typeof part === "string" ? `${part}\0` : new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  return hash.digest("hex");
}
