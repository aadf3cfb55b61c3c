import { sameShape } from "./dimension.js";
import { producer } from "./graph.js";
import type { Node, OpenGraph, Tensor } from "./op.js";
import { type Keeps, recomputing } from "./recomputation.js";

/** The two pieces of arithmetic that the sweep needs; `graph` itself knows no operations. */
export interface Arithmetic {
  /** The sum of the gradients that two readers of one tensor send back. */
  accumulate(sum: Tensor, contribution: Tensor): Tensor;
  /** Sums out the axes along which a tensor of `like`'s shape was broadcast. */
  sumTo(gradient: Tensor, like: Tensor): Tensor;
}

/**
 * Reverse-mode differentiation (Griewank & Walther 2008, ch. 3): gradients of `loss` for each of `trainables`, scaled by
 * `seed`, the gradient of the loss itself. Nothing that leads to no trainable tensor is visited. Values of the forward pass that
 * are not kept are computed again where the first rule reads them.
 *
 * @throws when a trainable does not reach the loss, or an operation on the way has no gradient.
 */
export function gradients(
  loss: Tensor,
  seed: Tensor,
  trainables: readonly Tensor[],
  arithmetic: Arithmetic,
  keeps: Keeps = () => true,
): Tensor[] {
  const graph = loss.graph;
  const value = recomputing(keeps);
  const read = (tensor: Tensor | undefined) => tensor && value(tensor);
  graph.seeds.add(seed);
  const active = dependents(graph, trainables);
  const cotangents = new Map<Tensor, Tensor>([[loss, seed]]);

  for (const node of graph.nodes.toReversed()) {
    const dys = node.outputs.map((output) => cotangents.get(output));
    const wants = node.inputs.map((input) => input !== undefined && active.has(input));
    if (!dys.some((dy) => dy !== undefined) || !wants.includes(true)) continue;
    if (node.op.gradient === "noGradient")
      throw new Error(`the operation ${node.op.name} has no gradient, and a trainable tensor reaches the loss through it`);

    const { attributes } = node;
    const found = node.op.gradient({ inputs: node.inputs.map(read), outputs: node.outputs.map(value), attributes, dys, wants });
    for (const [index, input] of node.inputs.entries()) {
      const gradient = found[index];
      if (input === undefined || !wants[index] || gradient === undefined) continue;
      const fitted = sameShape(gradient.shape, input.shape) ? gradient : arithmetic.sumTo(gradient, input);
      const sum = cotangents.get(input);
      cotangents.set(input, sum === undefined ? fitted : arithmetic.accumulate(sum, fitted));
    }
  }
  return trainables.map((trainable) => {
    const gradient = cotangents.get(trainable);
    if (gradient === undefined) throw new Error(`the loss does not depend on the trainable tensor ${describe(trainable)}`);
    return gradient;
  });
}

/** All tensors that a change of `roots` changes. */
export function dependents(graph: OpenGraph, roots: readonly Tensor[]): Set<Tensor> {
  const changed = new Set(roots);
  const reads = (node: Node) => node.inputs.some((input) => input !== undefined && changed.has(input));
  for (const node of graph.nodes) {
    if (reads(node)) for (const output of node.outputs) changed.add(output);
  }
  return changed;
}

function describe(tensor: Tensor): string {
  if (tensor.source.kind === "input" || tensor.source.kind === "weight") return `"${tensor.source.name}"`;
  return `of ${producer(tensor)?.op.name ?? "a constant"}`;
}
