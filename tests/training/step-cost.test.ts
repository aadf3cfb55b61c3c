import { describe, expect, test } from "vitest";
import { Graph, type Tensor } from "../../src/graph/graph.js";
import { buildLayout } from "../../src/lora/layout.js";
import { readModel } from "../../src/models/index.js";
import { add } from "../../src/ops/add.js";
import { frozenLinear, linear } from "../../src/ops/linear.js";
import { reshape } from "../../src/ops/reshape.js";
import { buildGradientGraph } from "../../src/training/gradient-program.js";
import { stepCost } from "../../src/training/step-cost.js";
import { golden } from "../support/golden.js";

const rows = (graph: Graph): Tensor => graph.input("x", { dtype: "float32", shape: ["n", 8] });

describe("the cost of a graph", () => {
  test("a chain holds two tensors at a time; outputs go to the caller's memory", () => {
    const graph = new Graph();
    let x = rows(graph);
    for (let index = 0; index < 5; index++) x = add(x, x);
    graph.output("y", x);
    // Four of the five sums are the engine's, [10, 8] of float32 each.
    expect(stepCost(graph, { n: 10 })).toEqual({ activationBytes: 2 * 320, flops: 0 });
  });

  test("what is read late stays alive until then; a view adds nothing", () => {
    const graph = new Graph();
    const kept = add(rows(graph), rows(graph));
    const chain = add(add(reshape(kept, [8, "n"]), reshape(kept, [8, "n"])), reshape(kept, [8, "n"]));
    graph.output("y", add(reshape(chain, ["n", 8]), kept));
    expect(stepCost(graph, { n: 10 }).activationBytes).toBe(3 * 320);
  });

  test("products: two operations a weight and row; a converted copy of a weight while it is read", () => {
    const graph = new Graph();
    const hidden = frozenLinear(rows(graph), graph.weight("w", [16, 8]));
    graph.output("y", linear(hidden, graph.input("b", { dtype: "float32", shape: [4, 16] })));
    const cost = stepCost(graph, { n: 10 }, (name) => (name === "w" ? 512 : 0));
    expect(cost).toEqual({ activationBytes: 10 * 16 * 4 + 512, flops: 2 * 10 * (8 * 16 + 16 * 4) });
  });

  test("a training step: operations grow with the batch, attention with the square of the length", () => {
    const model = readModel(golden("tiny-chat/config.json"));
    const layout = buildLayout(model.linearGroups.map((group) => group.map((layer) => ({ ...layer, rank: 4, scale: 2 }))));
    const { graph } = buildGradientGraph({ model, layout, maxTokens: 2048 });
    const cost = (batch: number, tokens: number) => stepCost(graph, { batch, tokens, supervised: 32 });
    const [one, two] = [cost(1, 64), cost(2, 64)];
    const head = 4 * 32 * 32 * 640; // forward and input gradient of the vocabulary, for 32 rows
    expect(two.flops - head).toBe(2 * (one.flops - head));
    expect(two.activationBytes).toBeGreaterThan(one.activationBytes);
    // Tokens four times as many: what is not attention grows fourfold, attention sixteenfold.
    const attention = 2 * 7 * 2 * 64 * 64 * 32;
    expect(cost(1, 256).flops - head).toBe(4 * (one.flops - head - attention) + 16 * attention);
  });
});
