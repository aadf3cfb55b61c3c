import { type Bindings, type Dimension, evaluate } from "../graph/dimension.js";
import { type Graph, type Node, reachable, type Tensor } from "../graph/graph.js";

/** What one run of a program costs. */
export interface StepCost {
  /** Bytes of activations at the fullest moment. */
  readonly activationBytes: number;
  /** Multiplications and additions of all matrix products. */
  readonly flops: number;
  /** Those of `flops` that read a weight for which `isFaster` says so. */
  readonly fasterFlops: number;
  /** Bytes of the copies of weights that the engine makes, each as often as a node reads it. */
  readonly copiedBytes: number;
  /** Bytes of all values that are written on the way, those within operations included: what passes over values take time by. */
  readonly writtenBytes: number;
}

/** What a program's cost depends on beside its graph. */
export interface StepWeights {
  /** Bytes of the converted copy of a weight that the engine makes while a node reads it. */
  readonly copyBytes?: (name: string) => number;
  /** Whether products with a weight run at another speed than the others. */
  readonly isFaster?: (name: string) => boolean;
}

const BYTES = { float32: 4, int64: 8, bool: 1 } as const;

/**
 * Estimates a program without running it. The model: nodes run in the graph's order; a tensor that a node computes lives from
 * there to its last reader (for most of the forward pass, a node of the backward pass); a view shares its input's memory;
 * while a node runs, its operation's own intermediate values live too, and the copy of each weight it reads.
 * Left out: the weights themselves, what is fed, and outputs, which go to memory of the caller; and that the engine writes some
 * results over an operand, and keeps free memory for later runs.
 *
 * @param dimensions values of the graph's symbolic dimensions
 */
export function stepCost(
  graph: Graph,
  dimensions: Readonly<Record<string, number>>,
  { copyBytes = () => 0, isFaster = () => false }: StepWeights = {},
): StepCost {
  const shapeOf = shapesUnder(new Map(Object.entries(dimensions)));
  const nodes = reachable(graph, graph.outputs.values());
  const lastReaders = lastReadersOf(nodes);
  const given = new Set([...graph.outputs.values()].map(storage));
  const sizes = new Map<Tensor, number>();
  let live = 0;
  let activationBytes = 0;
  let flops = 0;
  let fasterFlops = 0;
  let copiedBytes = 0;
  let writtenBytes = 0;
  for (const node of nodes) {
    for (const output of node.outputs) {
      if (storage(output) !== output || given.has(output)) continue;
      const bytes = BYTES[output.dtype] * shapeOf(output).reduce((product, size) => product * size, 1);
      sizes.set(output, bytes);
      live += bytes;
      writtenBytes += bytes;
    }
    const cost = node.op.cost?.(
      node.inputs.map((input) => (input === undefined ? [] : shapeOf(input))),
      node.attributes,
    );
    const weights = node.inputs.flatMap((input) => (input?.source.kind === "weight" ? [input.source.name] : []));
    const copies = node.op.readsRows ? 0 : weights.reduce((sum, name) => sum + copyBytes(name), 0);
    flops += cost?.flops ?? 0;
    copiedBytes += copies;
    writtenBytes += BYTES.float32 * (cost?.scratch ?? 0);
    if (weights.some(isFaster)) fasterFlops += cost?.flops ?? 0;
    activationBytes = Math.max(activationBytes, live + copies + BYTES.float32 * (cost?.scratch ?? 0));
    for (const tensor of lastReaders.get(node) ?? []) {
      live -= sizes.get(tensor) ?? 0;
      sizes.delete(tensor);
    }
  }
  return { activationBytes, flops, fasterFlops, copiedBytes, writtenBytes };
}

/** After which node each computed tensor's memory is free: its last reader, or its own node where nothing reads it. */
function lastReadersOf(nodes: readonly Node[]): ReadonlyMap<Node, Tensor[]> {
  const last = new Map<Tensor, Node>();
  for (const node of nodes) {
    for (const tensor of [...node.inputs, ...node.outputs]) if (tensor !== undefined) last.set(storage(tensor), node);
  }
  const freed = new Map<Node, Tensor[]>();
  for (const [tensor, node] of last) freed.set(node, [...(freed.get(node) ?? []), tensor]);
  return freed;
}

/** The tensor whose memory this one shares. */
function storage(tensor: Tensor): Tensor {
  const source = tensor.source;
  const viewed = source.kind === "node" && source.node.op.isView ? source.node.inputs[0] : undefined;
  return viewed === undefined ? tensor : storage(viewed);
}

/** Shapes with every symbol replaced by its number. Few dimensions occur many times. */
function shapesUnder(bindings: Bindings): (tensor: Tensor) => readonly number[] {
  const known = new Map<Dimension, number>();
  const numberOf = (dimension: Dimension): number => {
    const value = known.get(dimension) ?? evaluate(dimension, bindings);
    known.set(dimension, value);
    return value;
  };
  return ({ shape }) => shape.map(numberOf);
}
