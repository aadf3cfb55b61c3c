import type { Dimension, Shape } from "../graph/dimension.js";
import { type DataType, float32, type TensorType } from "../graph/op.js";

/** The type of a required input; throws, naming the operation, where it is absent or of another rank or type. */
export function input(
  op: string,
  types: readonly (TensorType | undefined)[],
  index: number,
  rank?: number,
  dtype: DataType = "float32",
): TensorType {
  const type = types[index];
  if (type === undefined) throw new Error(`${op}: input ${index} is missing`);
  if (type.dtype !== dtype) throw new Error(`${op}: input ${index} is ${type.dtype}, not ${dtype}`);
  if (rank !== undefined && type.shape.length !== rank) {
    throw new Error(`${op}: input ${index} has shape [${type.shape.join(", ")}], not ${rank} axes`);
  }
  return type;
}

/** One extent of a shape, counted from the end for negative axes. */
export function extent(shape: Shape, axis: number): Dimension {
  const dimension = shape.at(axis);
  if (dimension === undefined) throw new Error(`the shape [${shape.join(", ")}] has no axis ${axis}`);
  return dimension;
}

/** A number known when the graph is written; throws for a symbol. */
export function fixed(op: string, dimension: Dimension): number {
  if (typeof dimension === "number") return dimension;
  throw new Error(`${op} needs a fixed extent, not "${dimension}"`);
}

/** Values of a shape of numbers. */
export function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function expectEqual(op: string, what: string, a: Dimension, b: Dimension): void {
  if (a !== b) throw new Error(`${op}: ${what} differ: ${a} and ${b}`);
}

/** The common type of two matrices of equal columns, the first two inputs, which `what` names. */
export function inputPair(op: string, types: readonly (TensorType | undefined)[], what: string): TensorType {
  const first = input(op, types, 0, 2);
  expectEqual(op, `columns of ${what}`, extent(first.shape, 1), extent(input(op, types, 1, 2).shape, 1));
  return float32(...first.shape);
}
