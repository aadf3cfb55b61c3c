import type { ByteSource } from "./byte-source.js";
import { transposeInto } from "./kernels/transpose.js";
import { type StoredType, storedFormats } from "./stored-types.js";

/** A matrix whose file has [in, out]. */
interface TransposedMatrix {
  readonly name: string;
  readonly type: StoredType;
  /** [out, in] */
  readonly shape: readonly number[];
  readonly source: ByteSource;
  /** Bytes from the start of the source. */
  readonly offset: number;
}

/**
 * Its bytes as those of [out, in], some rows at a time. The file's matrix is read from start to end for each slab of rows, a slab at a
 * time, so that a large one is never in memory as a whole.
 */
export async function* readTransposed(
  { name, type, shape, source, offset }: TransposedMatrix,
  slabElements: number,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly count: number }> {
  const [outputs = 0, inputs = 0] = shape;
  const { weights, bytes: size } = storedFormats[type];
  if (weights !== 1) throw new RangeError(`${name}: rows of ${type} are blocks, which cannot be transposed`);
  const rowsAtOnce = Math.max(1, Math.floor(slabElements / Math.max(1, inputs)));
  const readAtOnce = Math.max(1, Math.floor(slabElements / Math.max(1, outputs)));
  for (let from = 0; from < outputs; from += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, outputs - from) * inputs;
    const bytes = new Uint8Array(count * size);
    for (let at = 0; at < inputs; at += readAtOnce) {
      const stored = await source.read(offset + at * outputs * size, Math.min(readAtOnce, inputs - at) * outputs * size);
      transposeInto(elements(stored, size), elements(bytes, size), { width: outputs, from, at, pitch: inputs });
    }
    yield { bytes, count };
  }
}

/** The bit patterns of 16- or 32-bit numbers. */
function elements(bytes: Uint8Array, size: number): Uint16Array | Uint32Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return size === 2 ? new Uint16Array(buffer, byteOffset, byteLength / 2) : new Uint32Array(buffer, byteOffset, byteLength / 4);
}
