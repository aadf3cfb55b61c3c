import type { Shape } from "../../graph/dimension.js";
import type { OnnxAttribute, OnnxInitializer, OnnxNode } from "../../onnx/model.js";

/** Nodes of an ONNX graph with their small constants, in the order in which they are written. */
export interface NodeList {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, OnnxInitializer>;
  /** Adds a node and returns the name of its output, which is chosen unless it is given. */
  add(type: string, inputs: readonly string[], options?: NodeOptions): string;
  /** A constant int64 vector, or a scalar for a single number. */
  ints(values: number | readonly number[]): string;
  float(value: number): string;
}

export interface NodeOptions {
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly output?: string;
}

/** @param prefix of the names that are chosen here: no other node of the model has it */
export function nodeList(prefix: string): NodeList {
  const nodes: OnnxNode[] = [];
  const initializers = new Map<string, OnnxInitializer>();
  const constant = (name: string, dtype: "int64" | "float32", shape: Shape, data: ArrayBufferView) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    initializers.set(name, { name, dtype, shape: shape.map(Number), data: bytes });
    return name;
  };
  return {
    nodes,
    initializers,
    add(type, inputs, { attributes = {}, output = `${prefix}:${type}_${nodes.length}` } = {}) {
      nodes.push({ type, name: `node:${output}`, inputs, outputs: [output], attributes });
      return output;
    },
    ints(values) {
      if (typeof values === "number") return constant(`${prefix}:int:${values}`, "int64", [], BigInt64Array.of(BigInt(values)));
      return constant(`${prefix}:ints:${values.join(",")}`, "int64", [values.length], BigInt64Array.from(values, BigInt));
    },
    float: (value) => constant(`${prefix}:float:${value}`, "float32", [], Float32Array.of(value)),
  };
}
