import type { ByteSource } from "./byte-source.js";
import { buildCheckpoint, type Checkpoint, type StoredTensor } from "./checkpoint.js";

type Computed = () => Promise<Float32Array>;

/**
 * A checkpoint in which some tensors have other values, computed when they are read: those of `computed`, by name, as float32.
 *
 * @param added tensors that it lacks, behind the others
 */
export function checkpointWith(
  checkpoint: Checkpoint,
  computed: ReadonlyMap<string, Computed>,
  added: ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Computed }> = new Map(),
): Checkpoint {
  const tensors = [...checkpoint.tensors.values()].map((tensor): StoredTensor => {
    const values = computed.get(tensor.name);
    if (values === undefined) return tensor;
    const { name, shape, storedName } = tensor;
    return { ...computedTensor(name, shape, values), ...(storedName === undefined ? {} : { storedName }) };
  });
  const more = [...added].map(([name, { shape, values }]) => computedTensor(name, shape, values));
  return buildCheckpoint(new Map([...tensors, ...more].map((tensor) => [tensor.name, tensor])), checkpoint.unreadable);
}

function computedTensor(name: string, shape: readonly number[], values: Computed): StoredTensor {
  const byteLength = Float32Array.BYTES_PER_ELEMENT * shape.reduce((product, extent) => product * extent, 1);
  return { name, type: "F32", shape, source: computedSource(name, byteLength, values), offset: 0, byteLength };
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
