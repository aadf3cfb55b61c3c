import { type Bindings, evaluate, type Shape } from "../graph/dimension.js";
import type { Graph, Tensor } from "../graph/graph.js";
import type { Target } from "../graph/op.js";
import { encodeModel, type OnnxModel, type OnnxNode, type OnnxValue } from "../onnx/model.js";
import { type Emitted, emitGraph, type StoredWeight } from "./emit.js";
import type { Engine, EngineSession, HostData, HostTensor, SessionSettings } from "./engine.js";
import { orderNodes } from "./order.js";

export interface CompileOptions extends SessionSettings {
  readonly weights: (name: string) => StoredWeight;
}

/** A compiled graph. Each run names the values of its symbolic dimensions; every input is checked against them. */
export class Program {
  readonly #graph: Graph;
  readonly #session: EngineSession;
  readonly #extra: ExtraInputs;

  private constructor(graph: Graph, session: EngineSession, extra: ExtraInputs) {
    this.#graph = graph;
    this.#session = session;
    this.#extra = extra;
  }

  static async compile(graph: Graph, engine: Engine, options: CompileOptions): Promise<Program> {
    const { model, ...extra } = buildOnnx(graph, options.target, options.weights);
    const session = await engine.createSession(encodeModel(model), options);
    return new Program(graph, session, extra);
  }

  /**
   * @param feeds data of every graph input, row-major
   * @param dimensions values of the symbolic dimensions
   * @param into memory for outputs, written in place
   * @throws when an input is missing or has another number of values than its shape says.
   */
  async run(
    feeds: Readonly<Record<string, HostData>>,
    dimensions: Readonly<Record<string, number>>,
    into: Readonly<Record<string, Float32Array>> = {},
  ): Promise<Readonly<Record<string, HostTensor>>> {
    const bindings = new Map(Object.entries(dimensions));
    const tensors: Record<string, HostTensor> = {};
    for (const [name, tensor] of this.#graph.inputs) tensors[name] = fitted(name, feeds[name], tensor.shape, bindings);
    for (const [name, shape] of this.#extra.shapeInputs) {
      const extents = shape.map((dimension) => evaluate(dimension, bindings));
      tensors[name] = { data: BigInt64Array.from(extents, BigInt), dims: [extents.length] };
    }
    for (const [name, of] of this.#extra.columnInputs) {
      const tensor = tensors[of];
      if (tensor !== undefined) tensors[name] = { data: tensor.data, dims: [...tensor.dims, 1] };
    }
    const targets: Record<string, HostTensor> = {};
    for (const [name, data] of Object.entries(into)) {
      const output = this.#graph.outputs.get(name);
      if (output === undefined) throw new Error(`the program has no output "${name}"`);
      targets[name] = fitted(name, data, output.shape, bindings);
    }
    return this.#session.run(tensors, targets);
  }

  endProfiling(): void {
    this.#session.endProfiling();
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

/** Inputs of the engine's model beside those of the graph; a run fills them in by itself. */
type ExtraInputs = Pick<Emitted, "shapeInputs" | "columnInputs">;

/** The ONNX model of a graph, and what its extra int64 inputs want. */
export function buildOnnx(graph: Graph, target: Target, weights: (name: string) => StoredWeight): { model: OnnxModel } & ExtraInputs {
  const emitted = emitGraph(graph, target, weights);
  const { nodes, renamed } = nameOutputs(emitted);
  const ordered = orderNodes(nodes, new Set(graph.outputs.keys()), new Set([...emitted.seeds].map((seed) => renamed.get(seed) ?? seed)));
  const shapeValues = [...emitted.shapeInputs].map(([name, shape]): OnnxValue => ({ name, dtype: "int64", shape: [shape.length] }));
  const columns = [...emitted.columnInputs].map(([name, of]): OnnxValue => {
    const input = graph.inputs.get(of);
    if (input?.dtype !== "int64") throw new Error(`"${of}" is no int64 input of the graph, and cannot be read as a column`);
    return { name, dtype: "int64", shape: [...input.shape, 1] };
  });
  const outputs = new Set(graph.outputs.keys());
  const computed = new Set(ordered.flatMap((node) => node.outputs).filter((name) => !outputs.has(name)));
  const model: OnnxModel = {
    nodes: [...emitted.weightNodes, ...ordered],
    inputs: [...[...graph.inputs].map(([name, tensor]) => declared(name, tensor)), ...shapeValues, ...columns],
    outputs: [...graph.outputs].map(([name, tensor]) => declared(name, tensor)),
    values: [...emitted.shapes].filter(([name]) => computed.has(name)).map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    initializers: emitted.initializers,
  };
  return { model, shapeInputs: emitted.shapeInputs, columnInputs: emitted.columnInputs };
}

/** Gives the values that leave the program their public names: by renaming where a node computes them, else by a copy. */
function nameOutputs({ nodes, outputs, shapeInputs }: Emitted): { nodes: OnnxNode[]; renamed: ReadonlyMap<string, string> } {
  const computed = new Set(nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  const copies: OnnxNode[] = [];
  for (const [name, value] of outputs) {
    if (computed.has(value) && !renamed.has(value) && !shapeInputs.has(value)) renamed.set(value, name);
    else
      copies.push({ type: "Identity", name: `Identity:${name}`, inputs: [renamed.get(value) ?? value], outputs: [name], attributes: {} });
  }
  const rename = (value: string) => renamed.get(value) ?? value;
  const named = nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) }));
  return { nodes: [...named, ...copies], renamed };
}

function declared(name: string, tensor: Tensor): OnnxValue {
  return { name, dtype: tensor.dtype, shape: tensor.shape };
}

function fitted(name: string, data: HostData | undefined, shape: Shape, bindings: Bindings): HostTensor {
  const dims = shape.map((dimension) => evaluate(dimension, bindings));
  const count = dims.reduce((product, extent) => product * extent, 1);
  if (data === undefined) throw new Error(`"${name}" [${dims.join(", ")}] was not given`);
  if (data.length !== count) throw new Error(`"${name}" is [${dims.join(", ")}], ${count} values, but ${data.length} were given`);
  return { data, dims };
}
