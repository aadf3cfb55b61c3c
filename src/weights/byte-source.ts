import { InputError } from "../errors.js";

/** Random access to the bytes of one file, wherever it lies; portable code is handed one instead of a path. */
export interface ByteSource {
  /** What messages call it: a path or an address. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`, in memory that the caller owns. Rejects when the file ends earlier. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A source over bytes that are already in memory. */
export function memorySource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    read: async (offset, length) => {
      checkRange({ name, size: bytes.byteLength }, offset, length);
      return bytes.slice(offset, offset + length);
    },
  };
}

/** A stretch of a file. */
export interface Stretch {
  readonly source: ByteSource;
  readonly offset: number;
  readonly length: number;
}

/** Stretches that are read at once: enough to keep a disk busy, far fewer than a process may have files open. */
const READ_AT_ONCE = 64;

/** The bytes of small stretches, in their order. */
export async function readStretches(stretches: readonly Stretch[]): Promise<Uint8Array[]> {
  const read: Uint8Array[] = [];
  for (let from = 0; from < stretches.length; from += READ_AT_ONCE) {
    const some = stretches.slice(from, from + READ_AT_ONCE);
    read.push(...(await Promise.all(some.map(({ source, offset, length }) => source.read(offset, length)))));
  }
  return read;
}

/** Throws unless `offset .. offset + length` lies inside the source. */
export function checkRange(source: { readonly name: string; readonly size: number }, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset + length > source.size) {
    throw new InputError(
      `${source.name}: bytes ${offset} to ${offset + length} were asked for, but the file has ${source.size} bytes. It is cut short or damaged: fetch it again.`,
    );
  }
}
