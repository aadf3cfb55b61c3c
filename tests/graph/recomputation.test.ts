import { describe, expect, test } from "vitest";
import { Graph, producer, reachable, type Tensor } from "../../src/graph/graph.js";
import { keepsCheckpoints, keepsProducts, recomputing } from "../../src/graph/recomputation.js";
import { add } from "../../src/ops/add.js";
import { rmsNorm } from "../../src/ops/rms-norm.js";
import { DropoutSource } from "../../src/training/dropout-source.js";
import { buildGradientGraph } from "../../src/training/gradient-program.js";
import { seededLlama } from "../support/seeded-llama.js";

const input = (graph: Graph, name: string, ...shape: number[]): Tensor => graph.input(name, { dtype: "float32", shape });
const inputsOf = (tensor: Tensor) => producer(tensor)?.inputs ?? [];

describe("a value that the backward pass reads", () => {
  test("is itself where it is kept, and else the same operation on what is kept, written once", () => {
    const graph = new Graph();
    const x = input(graph, "x", 2, 4);
    const sum = add(x, x);
    const normed = rmsNorm(sum, input(graph, "gain", 4), 1e-5);
    const value = recomputing(keepsProducts);
    expect([value(x), value(sum)]).toEqual([x, sum]);
    const again = value(normed);
    expect(again).not.toBe(normed);
    expect(inputsOf(again)).toEqual(inputsOf(normed));
    expect(value(normed)).toBe(again);
    expect(graph.nodes.length).toBe(3);
  });

  test("between checkpoints is computed from the last one; before the first and after the last, what is no checkpoint is kept", () => {
    const graph = new Graph();
    const x = input(graph, "x", 2);
    const chain = [x];
    for (let index = 0; index < 8; index++) chain.push(add(chain.at(-1) ?? x, x));
    const [, , start, , middle, inside, end, after] = chain as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
    for (const tensor of [start, middle, end]) graph.checkpoints.add(tensor);
    const value = recomputing(keepsCheckpoints(graph));
    for (const tensor of [x, chain[1], start, middle, end, after] as Tensor[]) expect(value(tensor)).toBe(tensor);
    expect(value(inside)).not.toBe(inside);
    expect(inputsOf(value(inside))).toEqual([middle, x]);
  });
});

describe("a training step", () => {
  const blocks = 3;
  const llama = seededLlama({ blocks });
  /** Names of forward operations whose outputs the nodes of the backward pass read, those of the blocks. */
  const kept = (gradientCheckpointing: boolean) => {
    const { graph } = buildGradientGraph({ ...llama, maxTokens: 16, gradientCheckpointing, dropout: new DropoutSource(0.1, 1) });
    const loss = [...graph.outputs].flatMap(([name, tensor]) => (name === "loss" ? [tensor] : []));
    const forward = new Set(reachable(graph, loss));
    const read = new Set<Tensor>();
    for (const node of reachable(graph, graph.outputs.values())) {
      if (forward.has(node)) continue;
      for (const tensor of node.inputs) {
        const from = tensor && producer(tensor);
        if (tensor !== undefined && from !== undefined && forward.has(from)) read.add(tensor);
      }
    }
    return [...read].map((tensor) => producer(tensor)?.op.name ?? "");
  };
  const count = (names: readonly string[], name: string) => names.filter((each) => each === name).length;

  test("keeps outputs of products, and the sums of the residual stream; no norm, no activation, no masked input", () => {
    const names = kept(false);
    for (const cheap of ["RmsNorm", "SwiGlu", "Dropout"]) expect(names).not.toContain(cheap);
    // Gate and up, and v; q and k turned; what B multiplies.
    expect(count(names, "Attention") + count(names, "RotaryEmbedding")).toBe(3 * blocks);
    expect(count(names, "Add")).toBe(2 * blocks);
  });

  test("with checkpoints keeps the input of each block alone", () => {
    const names = kept(true);
    expect(count(names, "Add")).toBe(blocks); // the inputs of the others; the output of the last is read by the final norm
    expect(count(names, "GatherRows")).toBe(1); // the embeddings, which the first block reads
    for (const inside of ["Linear", "FrozenLinear", "Attention", "RotaryEmbedding", "SplitColumns"]) expect(names).not.toContain(inside);
  });
});
