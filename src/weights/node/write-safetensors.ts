import { encodeSafetensorsHeader, type SafetensorsType } from "../safetensors.js";
import { writeStreamAtomic } from "./atomic-file.js";

/** A tensor to be written. Its bytes are asked for when its turn comes, so that a model is never in memory as a whole. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: SafetensorsType;
  readonly shape: readonly number[];
  /** The values, little-endian, in one piece or in several. */
  readonly data: () => ArrayBufferView | Promise<ArrayBufferView> | AsyncIterable<ArrayBufferView>;
}

/**
 * Writes a safetensors file that appears whole or not at all. Tensors stand in the order given.
 * `format: "pt"` in the metadata is what transformers and PEFT ask for.
 */
export async function writeSafetensors(
  path: string,
  entries: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  const { header, byteLengths } = encodeSafetensorsHeader(entries, metadata);
  await writeStreamAtomic(path, async (sink) => {
    await sink.write(header);
    for (const [index, entry] of entries.entries()) {
      let written = 0;
      const data = entry.data();
      const pieces = Symbol.asyncIterator in data ? data : [await data];
      for await (const piece of pieces) {
        const bytes = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
        await sink.write(bytes);
        written += bytes.byteLength;
      }
      if (written !== byteLengths[index]) {
        throw new RangeError(`Tensor ${entry.name}: ${written} bytes were given for a shape of ${byteLengths[index]}`);
      }
    }
  });
}
