import type { ByteSource } from "./byte-source.js";
import { buildCheckpoint, type Checkpoint, type StoredTensor } from "./checkpoint.js";

/** A checkpoint in which some tensors have other values, computed when they are read: those of `computed`, by name, as float32. */
export function checkpointWith(checkpoint: Checkpoint, computed: ReadonlyMap<string, () => Promise<Float32Array>>): Checkpoint {
  const tensors = [...checkpoint.tensors.values()].map((tensor): StoredTensor => {
    const values = computed.get(tensor.name);
    if (values === undefined) return tensor;
    const { name, shape, storedName } = tensor;
    const byteLength = Float32Array.BYTES_PER_ELEMENT * shape.reduce((product, extent) => product * extent, 1);
    const source = computedSource(name, byteLength, values);
    return { name, type: "F32", shape, source, offset: 0, byteLength, ...(storedName === undefined ? {} : { storedName }) };
  });
  return buildCheckpoint(new Map(tensors.map((tensor) => [tensor.name, tensor])), checkpoint.unreadable);
}

/** Bytes that are computed when they are first asked for, and let go when they have been read to their end. */
function computedSource(name: string, size: number, values: () => Promise<Float32Array>): ByteSource {
  let pending: Promise<Uint8Array> | undefined;
  const compute = async () => {
    const { buffer, byteOffset, byteLength } = await values();
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return {
    name,
    size,
    read: async (offset, length) => {
      pending ??= compute();
      const bytes = (await pending).slice(offset, offset + length);
      if (offset + length === size) pending = undefined;
      return bytes;
    },
  };
}
