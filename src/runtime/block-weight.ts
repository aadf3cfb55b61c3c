import type { BlockWeight, EmitOptions } from "../graph/op.js";
import type { OnnxInitializer } from "../onnx/model.js";

type Place = OnnxInitializer["data"];

/** A frozen weight [out, in] in blocks of `size` along its rows: w = scale·code + minimum, both of the block. */
export interface StoredBlocks {
  readonly size: number;
  /** A byte holds two codes of 4 bits, the first in its low half. */
  readonly codes: { readonly dtype: "int4" | "uint4" | "int8"; readonly data: Place };
  /** Float32 [out, in / size]. */
  readonly scales: Place;
  readonly minimums?: Place | undefined;
}

/** Where a weight's engine nodes go. */
export interface BlockWriter {
  /** A node that reads nothing but stored weights. */
  fromStored(type: string, inputs: readonly string[], options?: EmitOptions): string;
  emit(type: string, inputs: readonly string[], options?: EmitOptions): [string, ...string[]];
  ints(values: readonly number[]): string;
  /** Adds an initializer, once, and returns its name. */
  initializer(initializer: OnnxInitializer): string;
}

/** The values of a weight in blocks, for its readers. They equal those that de-quantisation to float32 gives, bit for bit. */
export function blockWeight(writer: BlockWriter, name: string, shape: readonly number[], stored: StoredBlocks): BlockWeight {
  const [outputs = 0, inputs = 0] = shape;
  return {
    rows: (start = 0, count = outputs) => rows(writer, name, inputs, stored, { start, count }),
    gather: (index) => gather(writer, name, [outputs, inputs], stored, index),
  };
}

const alongRows = { attributes: { axis: { int: 0 } } };

/**
 * Rows as a matrix. To the engine each block is a row of its own: de-quantisation with one scale for a row takes two thirds
 * of the time that it takes with several.
 */
function rows(
  writer: BlockWriter,
  name: string,
  inputs: number,
  { size, codes, scales, minimums }: StoredBlocks,
  { start, count }: { readonly start: number; readonly count: number },
): string {
  const blocksOfRow = inputs / size;
  const blocks = count * blocksOfRow;
  const stored = (what: string, dtype: OnnxInitializer["dtype"], shape: readonly number[], data: Place, bytesOfRow: number) =>
    writer.initializer({
      name: `${name}:${what}:${start}+${count}`,
      dtype,
      shape,
      data: part(data, start * bytesOfRow, count * bytesOfRow),
    });
  const numbers = stored("codes", codes.dtype, [blocks, size], codes.data, (inputs * bitsOf(codes.dtype)) / 8);
  const factors = stored("scales", "float32", [blocks], scales, 4 * blocksOfRow);
  let values = writer.fromStored("DequantizeLinear", [numbers, factors], alongRows);
  if (minimums !== undefined) {
    values = writer.fromStored("Add", [values, stored("minimums", "float32", [blocks, 1], minimums, 4 * blocksOfRow)]);
  }
  return writer.fromStored("Reshape", [values, writer.ints([count, inputs])]);
}

/** The rows of an index int64 [N] → [N, in]: only these become float32. */
function gather(
  writer: BlockWriter,
  name: string,
  [outputs, inputs]: readonly [number, number],
  { size, codes, scales, minimums }: StoredBlocks,
  index: string,
): string {
  const table = (what: string, dtype: OnnxInitializer["dtype"], data: Place, columns: number) =>
    writer.initializer({ name: `${name}:${what}`, dtype, shape: [outputs, columns], data });
  const pick = (from: string) => writer.emit("Gather", [from, index], alongRows)[0];
  const reshape = (x: string, ...to: number[]) => writer.emit("Reshape", [x, writer.ints(to)])[0];
  const numbers = table("codes", codes.dtype, codes.data, inputs);
  const factors = table("scales", "float32", scales, inputs / size);
  let values: string;
  if (bitsOf(codes.dtype) === 4) {
    const attributes = { gather_axis: { int: 0 }, quantize_axis: { int: 1 }, block_size: { int: size } };
    values = reshape(writer.emit("GatherBlockQuantized", [numbers, index, factors], { domain: "com.microsoft", attributes })[0], -1, size);
  } else {
    values = writer.emit("DequantizeLinear", [reshape(pick(numbers), -1, size), reshape(pick(factors), -1)], alongRows)[0];
  }
  if (minimums !== undefined) {
    const least = reshape(pick(table("minimums", "float32", minimums, inputs / size)), -1, 1);
    values = writer.emit("Add", [values, least])[0];
  }
  return reshape(values, -1, inputs);
}

const bitsOf = (codes: StoredBlocks["codes"]["dtype"]) => (codes === "int8" ? 8 : 4);

/** Some bytes of a stored tensor. */
function part(place: Place, start: number, byteLength: number): Place {
  return place instanceof Uint8Array ? place.subarray(start, start + byteLength) : { ...place, offset: place.offset + start, byteLength };
}
