import { writeStreamAtomic } from "../../../weights/node/atomic-file.js";
import { encodeGgufHeader, type GgufEntry, type GgufTensor, paddedLength } from "../header.js";

/** Writes a GGUF file that appears whole or not at all. Tensors stand in the order given. */
export async function writeGguf(path: string, entries: readonly GgufEntry[], tensors: readonly GgufTensor[]): Promise<void> {
  const { header, byteLengths } = encodeGgufHeader(entries, tensors);
  await writeStreamAtomic(path, async (sink) => {
    await sink.write(header);
    for (const [index, { name, data }] of tensors.entries()) {
      let written = 0;
      for await (const piece of data()) {
        await sink.write(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength));
        written += piece.byteLength;
      }
      if (written !== byteLengths[index])
        throw new RangeError(`Tensor ${name}: ${written} bytes were given instead of ${byteLengths[index]}`);
      await sink.write(new Uint8Array(paddedLength(written) - written));
    }
  });
}
