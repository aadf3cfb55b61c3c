import type { Shape } from "../graph/dimension.js";
import { type Graph, reachable, type Tensor } from "../graph/graph.js";
import type { AnsweringWeights, BlockWeight, EmitOptions, Emitter, Int8Part, Int8Weight, Target, TensorType } from "../graph/op.js";
import type { OnnxInitializer, OnnxNode } from "../onnx/model.js";
import { blockWeight, type StoredBlocks } from "./block-weight.js";

/** A frozen weight as it is stored: in memory, or in a file at an offset. */
export interface StoredWeight {
  readonly dtype: "float32" | "bfloat16";
  readonly shape: readonly number[];
  /** Its values in floating point; undefined where it is stored in blocks, or in int8 alone. */
  readonly data: OnnxInitializer["data"] | undefined;
  readonly blocks?: StoredBlocks | undefined;
  readonly int8?: StoredInt8 | undefined;
  readonly answering?: StoredAnswering | undefined;
}

/** The int8 form of a frozen weight. */
export interface StoredInt8 {
  readonly range: Int8Weight["range"];
  readonly parts: ReadonlyMap<Int8Part, Omit<OnnxInitializer, "name">>;
}

/** The form for answers of layers that read one input: each of them has the same. */
export interface StoredAnswering {
  readonly weights: readonly string[];
  readonly form:
    | { readonly kind: "rows"; readonly fine: boolean }
    | { readonly kind: "blocks"; readonly inputs: number; readonly block: number; readonly bits: 4 | 8; readonly exact: boolean };
  readonly parts: ReadonlyMap<string, Omit<OnnxInitializer, "name">>;
}

/** Engine nodes of a graph, not yet in the wanted order. */
export interface Emitted {
  /** Nodes that bring a stored weight to float32; each has one reader. */
  readonly weightNodes: readonly OnnxNode[];
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  /** Small int64 inputs that hold shapes: input name → extents. */
  readonly shapeInputs: ReadonlyMap<string, Shape>;
  /** Inputs that hold another input as a column: name → the input's name. */
  readonly columnInputs: ReadonlyMap<string, string>;
  /** Shapes of computed values. */
  readonly shapes: ReadonlyMap<string, TensorType>;
  /** Value names of the graph's outputs. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Value names at which the backward pass starts. */
  readonly seeds: ReadonlySet<string>;
}

/** Lowers what the outputs of a graph need to engine nodes for one target. */
export function emitGraph(graph: Graph, target: Target, weights: (name: string) => StoredWeight): Emitted {
  const emitter = new GraphEmitter(target, weights);
  for (const node of reachable(graph, graph.outputs.values())) {
    const inputs = node.inputs.map((input) => (input === undefined ? "" : emitter.value(input)));
    const names = node.op.lower[target](emitter, {
      inputs,
      attributes: node.attributes,
      types: node.inputs,
      outputs: node.outputs,
    });
    for (const [index, name] of (typeof names === "string" ? [names] : names).entries()) {
      const output = node.outputs[index];
      if (output === undefined) throw new Error(`${node.op.name} was lowered to more than its ${node.outputs.length} outputs`);
      emitter.bind(output, name);
    }
  }
  // A graph output needs a node of its own that writes its name: an output may be an input or be read elsewhere too.
  const outputs = new Map<string, string>();
  for (const [name, tensor] of graph.outputs) outputs.set(name, emitter.value(tensor));
  const seeds = new Set([...graph.seeds].map((seed) => emitter.value(seed)));
  const { nodes, weightNodes, initializers, ...rest } = emitter.result();
  const kept = needed([...weightNodes, ...nodes], outputs.values());
  const read = new Set([...kept.flatMap((node) => node.inputs), ...outputs.values()]);
  const unstored = [...read].find((value) => emitter.lacksFloat(value));
  if (unstored !== undefined) throw new Error(`${unstored} is stored in int8 alone, but read in floating point`);
  const isWeightNode = new Set(weightNodes);
  return {
    ...rest,
    weightNodes: kept.filter((node) => isWeightNode.has(node)),
    nodes: kept.filter((node) => !isWeightNode.has(node)),
    initializers: initializers.filter(({ name }) => read.has(name)),
    outputs,
    seeds,
  };
}

/** A lowering writes all that an operation can give; nodes of which nothing is read are left out. */
function needed(nodes: readonly OnnxNode[], outputs: Iterable<string>): readonly OnnxNode[] {
  const read = new Set(outputs);
  const kept = nodes.toReversed().filter((node) => {
    const wanted = node.outputs.some((output) => read.has(output));
    if (wanted) for (const input of node.inputs) read.add(input);
    return wanted;
  });
  return kept.reverse();
}

class GraphEmitter implements Emitter {
  readonly target: Target;
  readonly #weights: (name: string) => StoredWeight;
  readonly #weightNodes: OnnxNode[] = [];
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers = new Map<string, OnnxInitializer>();
  readonly #shapeInputs = new Map<string, Shape>();
  readonly #columnInputs = new Map<string, string>();
  readonly #values = new Map<Tensor, string>();
  /** Names of weights by the names of their values. */
  readonly #weightNames = new Map<string, string>();
  /** Stored values in bfloat16 by the names of those that they were widened to. */
  readonly #widenedFrom = new Map<string, string>();
  readonly #shapes = new Map<string, TensorType>();
  readonly #shared = new Map<string, readonly string[]>();
  #names = 0;

  constructor(target: Target, weights: (name: string) => StoredWeight) {
    this.target = target;
    this.#weights = weights;
  }

  emit(type: string, inputs: readonly string[], options?: EmitOptions): [string, ...string[]] {
    return this.#add(this.#nodes, type, inputs, options);
  }

  #add(
    to: OnnxNode[],
    type: string,
    inputs: readonly string[],
    { attributes = {}, domain, outputs = 1, shape }: EmitOptions = {},
  ): [string, ...string[]] {
    const name = `${type}_${this.#names++}`;
    const more = Array.from({ length: outputs - 1 }, (_, index) => `${name}:${index + 1}`);
    if (shape !== undefined) for (const output of [name, ...more]) this.#shapes.set(output, { dtype: "float32", shape });
    to.push({ type, domain, name, inputs, outputs: [name, ...more], attributes });
    return [name, ...more];
  }

  float(values: number | Float32Array, shape: readonly number[] = []): string {
    const data = typeof values === "number" ? Float32Array.of(values) : values;
    const name = data.length === 1 ? `float:${data[0]}:[${shape.join(",")}]` : `float_${this.#names++}`;
    this.#initializers.set(name, { name, dtype: "float32", shape, data: bytesOf(data) });
    return name;
  }

  ints(values: number | readonly number[]): string {
    const scalar = typeof values === "number";
    const data = BigInt64Array.from((scalar ? [values] : values).map(BigInt));
    const name = scalar ? `int:${values}` : `ints:[${values.join(",")}]`;
    this.#initializers.set(name, { name, dtype: "int64", shape: scalar ? [] : [data.length], data: bytesOf(data) });
    return name;
  }

  byte(value: number): string {
    const name = `byte:${value}`;
    this.#initializers.set(name, { name, dtype: "uint8", shape: [], data: Uint8Array.of(value) });
    return name;
  }

  int8(value: string): Int8Weight | undefined {
    const weight = this.#weightNames.get(value) ?? "";
    const form = weight === "" ? undefined : this.#weights(weight).int8;
    if (form === undefined) return undefined;
    const part = (name: Int8Part) => {
      const stored = form.parts.get(name);
      if (stored === undefined) throw new Error(`${weight} has no ${name}`);
      // Layers that read one input share its smoothing: the same place of the file is the same value.
      const initializer = stored.data instanceof Uint8Array ? `${weight}:${name}` : `int8:${name}:${stored.data.offset}`;
      this.#initializers.set(initializer, { name: initializer, ...stored });
      return initializer;
    };
    return { range: form.range, part };
  }

  blocks(value: string): BlockWeight | undefined {
    const weight = this.#weightNames.get(value);
    return weight === undefined ? undefined : this.#blocks(weight);
  }

  bfloat16(value: string): string | undefined {
    return this.#widenedFrom.get(value);
  }

  answering(values: readonly string[]): AnsweringWeights | undefined {
    const names = values.map((value) => this.#weightNames.get(value) ?? "");
    const [first = ""] = names;
    const stored = first === "" ? undefined : this.#weights(first).answering;
    if (stored === undefined || stored.weights.join() !== names.join()) return undefined;
    const part = (name: string) => {
      const tensor = stored.parts.get(name);
      if (tensor === undefined) throw new Error(`${first} has no ${name} for answers`);
      const initializer = `answering:${first}:${name}`;
      this.#initializers.set(initializer, { name: initializer, ...tensor });
      return initializer;
    };
    return { ...stored.form, part };
  }

  coded(value: string): AnsweringWeights | undefined {
    return this.lacksFloat(value) ? this.answering([value]) : undefined;
  }

  once(key: string, write: () => readonly string[]): readonly string[] {
    const names = this.#shared.get(key) ?? write();
    this.#shared.set(key, names);
    return names;
  }

  /** Whether a value is a weight without a form in floating point. */
  lacksFloat(value: string): boolean {
    const weight = this.#weightNames.get(value);
    if (weight === undefined) return false;
    const { data, blocks } = this.#weights(weight);
    return data === undefined && blocks === undefined;
  }

  shape(dimensions: Shape): string {
    if (dimensions.every((dimension) => typeof dimension === "number")) return this.ints(dimensions);
    const name = `shape:${dimensions.join(",")}`;
    this.#shapeInputs.set(name, dimensions);
    return name;
  }

  column(input: string): string {
    if (this.target !== "webgpu") return this.emit("Unsqueeze", [input, this.ints([1])])[0];
    const name = `column:${input}`;
    this.#columnInputs.set(name, input);
    return name;
  }

  bind(tensor: Tensor, name: string): void {
    this.#values.set(tensor, name);
    if (tensor.source.kind === "node") this.#shapes.set(name, { dtype: tensor.dtype, shape: tensor.shape });
  }

  value(tensor: Tensor): string {
    if (tensor.source.kind === "weight") return this.#weight(tensor.source.name);
    const known = this.#values.get(tensor);
    if (known !== undefined) return known;
    if (tensor.source.kind === "node") throw new Error(`a value of ${tensor.source.node.op.name} is read before it is computed`);
    const name = tensor.source.kind === "input" ? tensor.source.name : this.#constant(tensor, tensor.source.values);
    this.bind(tensor, name);
    return name;
  }

  result(): Pick<Emitted, "weightNodes" | "nodes" | "initializers" | "shapeInputs" | "columnInputs" | "shapes"> {
    return {
      weightNodes: this.#weightNodes,
      nodes: this.#nodes,
      initializers: [...this.#initializers.values()],
      shapes: this.#shapes,
      shapeInputs: this.#shapeInputs,
      columnInputs: this.#columnInputs,
    };
  }

  #constant(tensor: Tensor, values: Float32Array): string {
    const shape = tensor.shape.map(Number);
    const name = `constant_${tensor.id}`;
    this.#initializers.set(name, { name, dtype: "float32", shape, data: bytesOf(values) });
    return name;
  }

  /**
   * The value of a weight for one reader. A weight that is not stored in float32 gets a conversion for each reader: the
   * engine keeps a shared one alive from the first reader to the last, which would hold every weight twice.
   */
  #weight(name: string): string {
    const { dtype, shape, data } = this.#weights(name);
    const initializer = `weight:${name}`;
    if (data !== undefined) this.#initializers.set(initializer, { name: initializer, dtype, shape, data });
    const value = this.#blocks(name)?.rows() ?? (data === undefined || dtype === "float32" ? initializer : this.#widened(initializer));
    this.#weightNames.set(value, name);
    return value;
  }

  #blocks(name: string): BlockWeight | undefined {
    const { shape, blocks } = this.#weights(name);
    if (blocks === undefined) return undefined;
    const initializer = (stored: OnnxInitializer) => {
      this.#initializers.set(stored.name, stored);
      return stored.name;
    };
    const writer = {
      fromStored: (...node: Parameters<Emitter["emit"]>) => this.#add(this.#weightNodes, ...node)[0],
      emit: this.emit.bind(this),
      ints: this.ints.bind(this),
      initializer,
    };
    return blockWeight(writer, `weight:${name}`, shape, blocks);
  }

  #widened(initializer: string): string {
    const [value] = this.#add(this.#weightNodes, "Cast", [initializer], { attributes: { to: { int: 1 } } });
    this.#widenedFrom.set(value, initializer);
    return value;
  }
}

function bytesOf(data: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
