import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredWeight } from "../../src/runtime/emit.js";
import type { CompileOptions } from "../../src/runtime/program.js";
import { blocksToFloat } from "../../src/weights/kernels/blocks.js";

type Data = NonNullable<StoredWeight["data"]>;

/** Weights in blocks, mapped from a file, as the float32 numbers that they stand for. */
export function dequantised(compile: CompileOptions): CompileOptions {
  const bytesOf = (data: Data | undefined): Uint8Array<ArrayBuffer> => {
    if (data === undefined) return new Uint8Array();
    if (data instanceof Uint8Array) return Uint8Array.from(data);
    return Uint8Array.from(readFileSync(join(compile.weightsFolder ?? "", data.file)).subarray(data.offset, data.offset + data.byteLength));
  };
  const floats = (data: Data | undefined) => new Float32Array(bytesOf(data).buffer);
  return {
    ...compile,
    weights: (name) => {
      const { blocks, ...stored } = compile.weights(name);
      if (blocks === undefined) return stored;
      const packed = bytesOf(blocks.codes.data);
      const codes =
        blocks.codes.dtype === "int8"
          ? new Int8Array(packed.buffer)
          : Int8Array.from([...packed].flatMap((byte) => [byte & 15, byte >> 4]));
      const values = new Float32Array(codes.length);
      blocksToFloat({ codes, scales: floats(blocks.scales), minimums: floats(blocks.minimums) }, blocks.size, values);
      return { ...stored, data: new Uint8Array(values.buffer) };
    },
  };
}
