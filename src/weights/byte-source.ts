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

/** Throws unless `offset .. offset + length` lies inside the source. */
export function checkRange(source: { readonly name: string; readonly size: number }, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset + length > source.size) {
    throw new InputError(
      `${source.name}: bytes ${offset} to ${offset + length} were asked for, but the file has ${source.size} bytes. It is cut short or damaged: fetch it again.`,
    );
  }
}
