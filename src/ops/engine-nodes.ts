import type { Shape } from "../graph/dimension.js";
import type { Emitter } from "../graph/op.js";

/** Pieces that several lowerings share: engine nodes that differ between targets, behind one name each. */

interface MatMulOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Factor on the product. */
  readonly scale?: number;
}

/** Batched product of the last two axes of 4-D values, with transposes and a factor fused where the target can. */
export function matMul(
  e: Emitter,
  a: string,
  b: string,
  { transposeA = false, transposeB = false, scale = 1 }: MatMulOptions = {},
): string {
  if (e.target === "cpu") {
    const attributes = { transA: { int: Number(transposeA) }, transB: { int: Number(transposeB) }, alpha: { float: scale } };
    return e.emit("FusedMatMul", [a, b], { domain: "com.microsoft", attributes })[0];
  }
  const left = transposeA ? transpose(e, a, [0, 1, 3, 2]) : a;
  const right = transposeB ? transpose(e, b, [0, 1, 3, 2]) : b;
  const scaled = scale === 1 ? left : binary(e, "Mul", left, e.float(scale));
  return e.emit("MatMul", [scaled, right])[0];
}

export function binary(
  e: Emitter,
  type: "Add" | "Sub" | "Mul" | "Div" | "Less" | "LessOrEqual" | "Equal" | "Pow",
  a: string,
  b: string,
): string {
  return e.emit(type, [a, b])[0];
}

export function transpose(e: Emitter, x: string, permutation: readonly number[]): string {
  return e.emit("Transpose", [x], { attributes: { perm: { ints: permutation } } })[0];
}

/**
 * Reshape to a target in the engine's notation: 0 copies the extent of the input's axis, one -1 is inferred.
 *
 * @param shape what comes out, where the engine cannot infer it from symbols
 */
export function reshapeTo(e: Emitter, x: string, target: readonly number[], shape?: Shape): string {
  return e.emit("Reshape", [x, e.ints(target)], shape === undefined ? {} : { shape })[0];
}

/** Reshape to a shape; at most one symbolic extent costs no input, since the engine infers it. */
export function reshapeLike(e: Emitter, x: string, shape: Shape): string {
  const symbolic = shape.filter((dimension) => typeof dimension === "string");
  if (symbolic.length > 1) return e.emit("Reshape", [x, e.shape(shape)])[0];
  return reshapeTo(
    e,
    x,
    shape.map((dimension) => (typeof dimension === "number" ? dimension : -1)),
  );
}

/** [.., n] → [..]: the sum over these axes. */
export function reduceSum(e: Emitter, x: string, axes: readonly number[], keep: boolean): string {
  return e.emit("ReduceSum", [x, e.ints(axes)], { attributes: { keepdims: { int: Number(keep) } } })[0];
}

/** The largest value along an axis, which keeps an extent of 1. */
export function reduceMax(e: Emitter, x: string, axis: number): string {
  return e.emit("ReduceMax", [x, e.ints([axis])], { attributes: { keepdims: { int: 1 } } })[0];
}

interface GemmOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Factor on the product. */
  readonly scale?: number;
  /** Added to the product; the empty string is none. */
  readonly addend?: string;
  readonly addendScale?: number;
}

/** scale·op(a)·op(b) + addendScale·addend of matrices. */
export function gemm(
  e: Emitter,
  a: string,
  b: string,
  { transposeA = false, transposeB = false, scale = 1, addend = "", addendScale = 1 }: GemmOptions = {},
): string {
  const attributes = {
    transA: { int: Number(transposeA) },
    transB: { int: Number(transposeB) },
    alpha: { float: scale },
    beta: { float: addendScale },
  };
  // The CPU's Gemm copies its addend with one thread before it multiplies; a pass of its own takes a third less.
  if (addend !== "" && e.target === "cpu" && addendScale === 1) return binary(e, "Add", e.emit("Gemm", [a, b], { attributes })[0], addend);
  return e.emit("Gemm", addend === "" ? [a, b] : [a, b, addend], { attributes })[0];
}

/** Equal parts along an axis whose extent `parts` divides; `shape` is that of a part, where the engine cannot infer it. */
export function splitEvenly(e: Emitter, x: string, parts: number, axis: number, shape?: Shape): readonly string[] {
  if (parts === 1) return [x];
  const attributes = { axis: { int: axis }, num_outputs: { int: parts } };
  return e.emit("Split", [x], { outputs: parts, attributes, ...(shape === undefined ? {} : { shape }) });
}

/** Values side by side along an axis; `shape` is that of all together, where the engine cannot infer it. */
export function concat(e: Emitter, parts: readonly string[], axis: number, shape?: Shape): string {
  const [only = ""] = parts;
  if (parts.length === 1) return only;
  return e.emit("Concat", parts, { attributes: { axis: { int: axis } }, ...(shape === undefined ? {} : { shape }) })[0];
}

export function softmax(e: Emitter, x: string): string {
  return e.emit("Softmax", [x], { attributes: { axis: { int: -1 } } })[0];
}

/** Columns or steps [start, end) of one axis; the bounds are int64 vectors of one element. */
export function slice(e: Emitter, x: string, start: string, end: string, axis: number): string {
  return e.emit("Slice", [x, start, end, e.ints([axis])])[0];
}

/** [s] → [s, 1] and the like: new axes of extent 1. */
export function unsqueeze(e: Emitter, x: string, axes: readonly number[]): string {
  return e.emit("Unsqueeze", [x, e.ints(axes)])[0];
}
