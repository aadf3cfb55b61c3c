import type { OnnxNode } from "../onnx/model.js";

/**
 * Brings engine nodes into the order that makes ONNX Runtime release memory early.
 *
 * The engine walks backward from the leaves (nodes whose outputs nobody reads); of several leaves, and of several inputs
 * of a node, the one with the higher index runs first, with all that it needs. So what must come late stands early in
 * the file: forward · recomputation · backward chain · leaves, the last computed first · the loss. A recomputed value
 * then comes to life just before the backward node that reads it, and each weight gradient as soon as the chain reaches
 * its layer.
 *
 * @param nodes in an order in which they can be evaluated
 * @param outputs value names of the program's outputs
 * @param seeds value names at which the backward pass starts; none for a program without gradients
 */
export function orderNodes(nodes: readonly OnnxNode[], outputs: ReadonlySet<string>, seeds: ReadonlySet<string>): OnnxNode[] {
  if (seeds.size === 0) return [...nodes];
  const backward = descendants(nodes, seeds);
  const roots = new Set([...outputs].filter((output) => !backward.values.has(output)));
  const forward = ancestors(nodes, roots);
  const read = new Set(nodes.flatMap((node) => node.inputs));
  const isLeaf = (node: OnnxNode) => !node.outputs.some((output) => read.has(output));

  const phases: Record<"forward" | "recomputation" | "chain" | "leaves" | "losses", OnnxNode[]> = {
    forward: [],
    recomputation: [],
    chain: [],
    leaves: [],
    losses: [],
  };
  for (const node of nodes) {
    if (backward.nodes.has(node)) phases[isLeaf(node) ? "leaves" : "chain"].push(node);
    else if (forward.has(node)) phases[isLeaf(node) ? "losses" : "forward"].push(node);
    else phases.recomputation.push(node);
  }
  return [...phases.forward, ...phases.recomputation, ...phases.chain, ...phases.leaves.reverse(), ...phases.losses];
}

/** Nodes, and all values, that these values lead to. */
function descendants(nodes: readonly OnnxNode[], roots: ReadonlySet<string>): { nodes: Set<OnnxNode>; values: Set<string> } {
  const values = new Set(roots);
  const found = new Set<OnnxNode>();
  for (const node of nodes) {
    if (!node.inputs.some((input) => values.has(input))) continue;
    found.add(node);
    for (const output of node.outputs) values.add(output);
  }
  return { nodes: found, values };
}

/** Nodes that these values need. */
function ancestors(nodes: readonly OnnxNode[], roots: ReadonlySet<string>): Set<OnnxNode> {
  const needed = new Set(roots);
  const found = new Set<OnnxNode>();
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    found.add(node);
    for (const input of node.inputs) needed.add(input);
  }
  return found;
}
