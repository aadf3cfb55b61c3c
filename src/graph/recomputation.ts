import { type Graph, producer } from "./graph.js";
import type { Node, Tensor } from "./op.js";

/** Which values of the forward pass stay in memory for the backward pass, which computes the others again from these. */
export type Keeps = (tensor: Tensor) => boolean;

/** All but what is cheap to compute from what is kept: the outputs of products stay; norms, activations and masked inputs do not. */
export const keepsProducts: Keeps = (tensor) => producer(tensor)?.op.isCheap !== true;

/**
 * Between the first and the last of the graph's checkpoints, these alone: each stretch of the forward pass is computed again as a
 * whole, just before its own backward pass (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). Outside of
 * them, as `keepsProducts`.
 */
export function keepsCheckpoints(graph: Graph): Keeps {
  const places = new Map(graph.nodes.map((node, place) => [node, place]));
  const placeOf = (node: Node) => places.get(node) ?? Number.POSITIVE_INFINITY;
  const marked = [...graph.checkpoints].flatMap((tensor) => producer(tensor) ?? []).map(placeOf);
  const [first, last] = [Math.min(...marked), Math.max(...marked)];
  return (tensor) => {
    const node = producer(tensor);
    if (node === undefined || graph.checkpoints.has(tensor)) return true;
    const place = placeOf(node);
    return place > first && place <= last ? false : keepsProducts(tensor);
  };
}

/** Gives each value that is not kept a second life: the same operation on the same inputs, written once, when it is first asked for. */
export function recomputing(keeps: Keeps): (tensor: Tensor) => Tensor {
  const again = new Map<Tensor, Tensor>();
  const read = (tensor: Tensor): Tensor => {
    const node = producer(tensor);
    if (node === undefined || keeps(tensor)) return tensor;
    if (!again.has(tensor)) {
      const inputs = node.inputs.map((input) => input && read(input));
      for (const [index, output] of tensor.graph.apply(node.op, inputs, node.attributes).entries()) {
        const original = node.outputs[index];
        if (original !== undefined) again.set(original, output);
      }
    }
    return again.get(tensor) ?? tensor;
  };
  return read;
}
