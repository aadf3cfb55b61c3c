import type { StoredWeight } from "../../src/runtime/emit.js";
import { type Blocks, blocksToFloat, packNibbles } from "../../src/weights/kernels/blocks.js";
import type { CodeType } from "../../src/weights/stored-types.js";

export interface BlockWeights {
  readonly inBlocks: StoredWeight;
  /** The same numbers in float32. */
  readonly inFloat: StoredWeight;
}

/** A weight [out, in] in memory, in blocks and as what they stand for. */
export function blockWeights(blocks: Blocks, shape: readonly [number, number], size: number, codes: CodeType): BlockWeights {
  const values = new Float32Array(shape[0] * shape[1]);
  blocksToFloat(blocks, size, values);
  const data = codes === "int8" ? bytesOf(blocks.codes) : packNibbles(blocks.codes);
  const minimums = blocks.minimums.some((minimum) => minimum !== 0) ? bytesOf(blocks.minimums) : undefined;
  return {
    inBlocks: {
      dtype: "float32",
      shape,
      data: undefined,
      blocks: { size, codes: { dtype: codes, data }, scales: bytesOf(blocks.scales), minimums },
    },
    inFloat: { dtype: "float32", shape, data: bytesOf(values) },
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>) => new Uint8Array(buffer, byteOffset, byteLength);
