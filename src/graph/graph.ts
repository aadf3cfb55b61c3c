import { sameShape } from "./dimension.js";
import type { Node, Op, OpenGraph, Tensor, TensorSource, TensorType } from "./op.js";

export type { Node, Tensor, TensorSource } from "./op.js";

/** A computation under construction. Nodes stand in an order in which they can be evaluated. */
export class Graph implements OpenGraph {
  readonly nodes: Node[] = [];
  readonly inputs = new Map<string, Tensor>();
  readonly weights = new Map<string, Tensor>();
  readonly outputs = new Map<string, Tensor>();
  /** Tensors at which a backward pass starts; the runtime orders the program by what depends on them. */
  readonly seeds = new Set<Tensor>();
  /** Tensors from which the forward pass can be computed again, in pieces: the inputs of blocks, and the output of the last. */
  readonly checkpoints = new Set<Tensor>();
  #tensors = 0;

  /** A value that every run is fed. Asking twice for a name gives the same tensor. */
  input(name: string, type: TensorType): Tensor {
    return this.#named(this.inputs, { kind: "input", name }, type);
  }

  /** A frozen weight, by its name in the checkpoint. Asking twice for a name gives the same tensor. */
  weight(name: string, shape: readonly number[]): Tensor {
    return this.#named(this.weights, { kind: "weight", name }, { dtype: "float32", shape });
  }

  /** A small constant; large tables are weights. */
  constant(values: Float32Array, shape: readonly number[]): Tensor {
    const count = shape.reduce((product, extent) => product * extent, 1);
    if (count !== values.length) throw new Error(`a constant of shape [${shape.join(", ")}] has ${count} values, not ${values.length}`);
    return this.#tensor({ kind: "constant", values }, { dtype: "float32", shape });
  }

  scalar(value: number): Tensor {
    return this.constant(Float32Array.of(value), []);
  }

  /** Marks a tensor as a result of the program. */
  output(name: string, tensor: Tensor): Tensor {
    if (this.outputs.has(name)) throw new Error(`the graph has an output "${name}" already`);
    this.outputs.set(name, tensor);
    return tensor;
  }

  /** Applies an operation and returns all its outputs. */
  apply<A>(op: Op<A>, inputs: readonly (Tensor | undefined)[], attributes: A): readonly Tensor[] {
    for (const input of inputs) {
      if (input !== undefined && input.graph !== this) throw new Error(`${op.name}: an input belongs to another graph`);
    }
    const outputs: Tensor[] = [];
    // A node's rule and its attributes belong together; the list of nodes forgets the type that ties them.
    const node: Node = { op: op as Op<unknown>, inputs, attributes, outputs };
    for (const [output, type] of op.infer(inputs, attributes).entries()) {
      outputs.push(this.#tensor({ kind: "node", node, output }, type));
    }
    this.nodes.push(node);
    return outputs;
  }

  #named(table: Map<string, Tensor>, source: TensorSource & { name: string }, type: TensorType): Tensor {
    const known = table.get(source.name);
    if (known === undefined) {
      const tensor = this.#tensor(source, type);
      table.set(source.name, tensor);
      return tensor;
    }
    if (known.dtype !== type.dtype || !sameShape(known.shape, type.shape)) {
      throw new Error(`${source.kind} "${source.name}" is [${known.shape.join(", ")}] already, not [${type.shape.join(", ")}]`);
    }
    return known;
  }

  #tensor(source: TensorSource, type: TensorType): Tensor {
    return { graph: this, id: this.#tensors++, source, dtype: type.dtype, shape: type.shape };
  }
}

/** Applies an operation of one output. */
export function apply<A>(op: Op<A>, inputs: readonly (Tensor | undefined)[], attributes: A): Tensor {
  const [output, ...more] = applyAll(op, inputs, attributes);
  if (output === undefined || more.length > 0) throw new Error(`${op.name} has ${more.length + 1} outputs, not one`);
  return output;
}

/** Applies an operation to the graph of its inputs and returns all outputs. */
export function applyAll<A>(op: Op<A>, inputs: readonly (Tensor | undefined)[], attributes: A): readonly Tensor[] {
  const first = inputs.find((input) => input !== undefined);
  if (first === undefined) throw new Error(`${op.name} needs an input`);
  return first.graph.apply(op, inputs, attributes);
}

/** The node that computes a tensor, or undefined for inputs, weights and constants. */
export function producer(tensor: Tensor): Node | undefined {
  return tensor.source.kind === "node" ? tensor.source.node : undefined;
}

/** Nodes that these tensors need, in the order of the graph. */
export function reachable(graph: Graph, tensors: Iterable<Tensor>): readonly Node[] {
  const needed = new Set<Node>();
  const open = [...tensors];
  for (let tensor = open.pop(); tensor !== undefined; tensor = open.pop()) {
    const node = producer(tensor);
    if (node === undefined || needed.has(node)) continue;
    needed.add(node);
    for (const input of node.inputs) if (input !== undefined) open.push(input);
  }
  return graph.nodes.filter((node) => needed.has(node));
}

/** A stable text of a graph, one node a line: for tests, diffs and people. */
export function printGraph(graph: Graph): string {
  const name = (tensor: Tensor | undefined): string => {
    if (tensor === undefined) return "_";
    if (tensor.source.kind === "input" || tensor.source.kind === "weight") return `${tensor.source.kind}:${tensor.source.name}`;
    return tensor.source.kind === "constant" ? `constant${tensor.id}` : `%${tensor.id}`;
  };
  const type = (tensor: Tensor) => `${tensor.dtype}[${tensor.shape.join(", ")}]`;
  const line = (node: Node) => {
    const outputs = node.outputs.map((output) => `${name(output)}: ${type(output)}`).join(", ");
    return `${outputs} = ${node.op.name}(${node.inputs.map(name).join(", ")}) ${JSON.stringify(node.attributes ?? {})}`;
  };
  const outputs = [...graph.outputs].map(([label, tensor]) => `return ${label} = ${name(tensor)}`);
  return [...reachable(graph, graph.outputs.values()).map(line), ...outputs].join("\n");
}
