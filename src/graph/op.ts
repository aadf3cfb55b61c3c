import type { Dimension, Shape } from "./dimension.js";

export type DataType = "float32" | "int64" | "bool";

/** Where a graph runs. CUDA and the browser's WASM take the lowering of the CPU. */
export type Target = "cpu" | "webgpu";

export interface TensorType {
  readonly dtype: DataType;
  readonly shape: Shape;
}

/** Where a tensor comes from: fed at run time, a frozen weight of the checkpoint, a small constant, or a node. */
export type TensorSource =
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "weight"; readonly name: string }
  | { readonly kind: "constant"; readonly values: Float32Array }
  | { readonly kind: "node"; readonly node: Node; readonly output: number };

/** A value of a graph: plain data, never the numbers themselves (but for small constants). */
export interface Tensor extends TensorType {
  readonly graph: OpenGraph;
  readonly id: number;
  readonly source: TensorSource;
}

export interface Node {
  readonly op: Op<unknown>;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly attributes: unknown;
  readonly outputs: readonly Tensor[];
}

/** A graph as operations and the reverse sweep see it: a place to write more nodes to. */
export interface OpenGraph {
  readonly nodes: readonly Node[];
  /** Tensors at which a backward pass starts. */
  readonly seeds: Set<Tensor>;
  scalar(value: number): Tensor;
  apply<A>(op: Op<A>, inputs: readonly (Tensor | undefined)[], attributes: A): readonly Tensor[];
}

/** Attributes of an engine node: integers and floats are told apart by their wrapper, since both are numbers here. */
export type EngineAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly string: string };

/** What a lowering writes to. Values are named by strings; nodes are those of the engine. */
export interface Emitter {
  readonly target: Target;
  /** Adds one engine node and returns the names of its outputs. */
  emit(type: string, inputs: readonly string[], options?: EmitOptions): [string, ...string[]];
  /** A constant of float32, scalar unless a shape is given. */
  float(values: number | Float32Array, shape?: readonly number[]): string;
  /** A constant vector of int64 (or a scalar for a single number). */
  ints(values: number | readonly number[]): string;
  /** An int64 vector holding a shape: a constant where it can be one, else a small input that the runtime feeds. */
  shape(dimensions: Shape): string;
  /** A constant scalar of uint8. */
  byte(value: number): string;
  /** The int8 form of a frozen weight, by the name of its value; undefined where it is stored in floating point alone. */
  int8(weight: string): Int8Weight | undefined;
  /** A frozen weight that is stored in blocks with scales, by the name of its value; undefined where it is not. */
  blocks(weight: string): BlockWeight | undefined;
  /** A frozen weight as it is stored in bfloat16, by the name of its value; undefined where it is not. */
  bfloat16(weight: string): string | undefined;
  /** The form in whole numbers of a weight that has none in floating point, by the name of its value; undefined where it has one. */
  coded(weight: string): AnsweringWeights | undefined;
  /** The form for answers of frozen layers that read one input, by the names of their values; undefined where there is none. */
  answering(weights: readonly string[]): AnsweringWeights | undefined;
  /** Values that several operations share, written by the first of them. */
  once(key: string, write: () => readonly string[]): readonly string[];
  /**
   * An int64 input of the graph, [N], as a column [N, 1]. The WebGPU provider cannot reshape int64: there the column is
   * an input of its own, which the runtime feeds with the same numbers.
   */
  column(input: string): string;
}

/** A frozen W [out, in] in blocks of few bits. Each call brings values to float32 for one reader. */
export interface BlockWeight {
  /** Some of its rows, all by default: [count, in]. */
  rows(start?: number, count?: number): string;
  /** The rows of an index int64 [N]: [N, in]. */
  gather(index: string): string;
}

/**
 * A frozen W [out, in] in int8, once for each direction. Forward, the input is multiplied by `smooth` [in], which tames its
 * outlying channels (Xiao et al. 2022, eq. 3), and W's columns are divided by it: `forwardCodes` int8 [in, out] with a scale
 * for each output, `forwardScales` [out]. Backward, `backwardCodes` int8 [out, in] have a scale for each input,
 * `backwardScales` [in].
 */
export type Int8Part = "smooth" | "forwardCodes" | "forwardScales" | "backwardCodes" | "backwardScales";

export interface Int8Weight {
  /** How the input is rounded: with one scale for all of it, one for each row, or one for each row in two codes a value, 16 bits. */
  readonly range: "tensor" | "row" | "fine";
  /** The name of a part's value. */
  part(name: Int8Part): string;
}

/**
 * Frozen weights as products with few rows read them. As `rows`, all layers of one input side by side, M outputs together: `codes`
 * int8 [in, M] of the weights divided by `smooth` [in], which multiplies the input, `scales` [M], and `sums` [1, M], what an input of
 * ones gives; `fine` asks for the input in 16 bits. As `blocks`, one layer, ⌈in / block⌉ blocks a row: `codes` uint8 [out, blocks, block]
 * around 128 with `scales` [out, blocks], or of 4 bits, two codes a byte, around the block's own `zeros` [out, ⌈blocks / 2⌉], packed likewise.
 */
export type AnsweringWeights =
  | { readonly kind: "rows"; readonly fine: boolean; part(name: "smooth" | "codes" | "scales" | "sums"): string }
  | {
      readonly kind: "blocks";
      readonly inputs: number;
      readonly block: number;
      readonly bits: 4 | 8;
      /** The input is taken as it is; else the engine rounds its rows to 8 bits too, where it has such a product. */
      readonly exact: boolean;
      part(name: "codes" | "scales" | "zeros"): string;
    };

export interface EmitOptions {
  readonly attributes?: Readonly<Record<string, EngineAttribute>>;
  readonly domain?: "com.microsoft";
  readonly outputs?: number;
  /** Shape of every output, float32, where the engine cannot infer it: it plans memory by shapes. */
  readonly shape?: Shape;
}

export interface LoweringArguments<A> {
  /** Names of the inputs' values; an absent optional input is the empty string. */
  readonly inputs: readonly string[];
  readonly attributes: A;
  /** Types of the inputs, absent optional ones left out of use. */
  readonly types: readonly (TensorType | undefined)[];
  readonly outputs: readonly TensorType[];
}

/** Writes one operation as engine nodes; returns a name for each output. */
export type Lowering<A> = (emitter: Emitter, node: LoweringArguments<A>) => string | readonly string[];

export interface GradientArguments<A> {
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputs: readonly Tensor[];
  readonly attributes: A;
  /** Gradient of each output; undefined where nothing depends on it. */
  readonly dys: readonly (Tensor | undefined)[];
  /** Whether the gradient of an input is needed. */
  readonly wants: readonly boolean[];
}

/** Gradients of the inputs, in their order; `undefined` where none is wanted. May be of the broadcast shape. */
export type GradientRule<A> = (node: GradientArguments<A>) => readonly (Tensor | undefined)[];

/** What running an operation costs beside reading its inputs and writing its outputs. */
export interface Cost {
  /** Multiplications and additions of its matrix products. */
  readonly flops?: number;
  /** Values of float32 that live at once between its engine nodes. */
  readonly scratch?: number;
}

export interface Op<A = unknown> {
  readonly name: string;
  /** Types of the outputs; throws when the inputs do not fit. */
  infer(inputs: readonly (TensorType | undefined)[], attributes: A): readonly TensorType[];
  readonly gradient: GradientRule<A> | "noGradient";
  readonly lower: Readonly<Record<Target, Lowering<A>>>;
  /** From the inputs' shapes, every symbol a number (absent inputs are empty shapes); absent where there is little to count. */
  readonly cost?: (shapes: readonly (readonly number[])[], attributes: A) => Cost;
  /** Of a weight it reads single rows, so that no copy of all of it is made. */
  readonly readsRows?: boolean;
  /** The output is the first input's memory under another shape. */
  readonly isView?: boolean;
  /** The output takes more memory than time: it is computed again for the backward pass rather than kept. */
  readonly isCheap?: boolean;
}

/** An operation is one record: its shape rule, its gradient and its lowering for every target. */
export function defineOp<A>(op: Op<A>): Op<A> {
  return op;
}

/** The same engine nodes on every target. */
export function everywhere<A>(lowering: Lowering<A>): Readonly<Record<Target, Lowering<A>>> {
  return { cpu: lowering, webgpu: lowering };
}

export function float32(...shape: Dimension[]): TensorType {
  return { dtype: "float32", shape };
}
