import { describe, expect, test } from "vitest";
import { Graph, type Tensor } from "../../src/graph/graph.js";
import { buildLayout } from "../../src/lora/layout.js";
import { readLanguageModel } from "../../src/models/index.js";
import { add } from "../../src/ops/add.js";
import { QUERIES } from "../../src/ops/attention-bias.js";
import { frozenLinear } from "../../src/ops/frozen-linear.js";
import { linear } from "../../src/ops/linear.js";
import { reshape } from "../../src/ops/reshape.js";
import { buildGradientGraph } from "../../src/training/gradient-program.js";
import { buildSequenceGraph, sequenceDimensions } from "../../src/training/sequence-graph.js";
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
    expect(stepCost(graph, { n: 10 })).toEqual({
      activationBytes: 2 * 320,
      flops: 0,
      fasterFlops: 0,
      copiedBytes: 0,
      writtenBytes: 4 * 320,
    });
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
    const cost = stepCost(
      graph,
      { n: 10 },
      {
        copyBytes: (name) => (name === "w" ? 512 : 0),
        isFaster: (name) => name === "w",
      },
    );
    const flops = 2 * 10 * (8 * 16 + 16 * 4);
    expect(cost).toEqual({ activationBytes: 10 * 16 * 4 + 512, flops, fasterFlops: 2 * 10 * 8 * 16, copiedBytes: 512, writtenBytes: 640 });
  });

  describe("a training step", () => {
    const model = readLanguageModel(golden("tiny-chat/config.json")); // 2 blocks, 4 heads, 32 columns, 640 ids
    const layout = buildLayout(model.linearGroups.map((group) => group.map((layer) => ({ ...layer, rank: 4, scale: 2 }))));

    test("operations grow with the batch, attention with the square of the length", () => {
      const { graph } = buildGradientGraph({ model, layout, maxTokens: 2048 });
      const cost = (batch: number, tokens: number) => stepCost(graph, sequenceDimensions({ batch, tokens, supervised: 32 }, 8));
      const [one, two] = [cost(1, 64), cost(2, 64)];
      const head = 4 * 32 * 32 * 640; // forward and input gradient of the vocabulary, for 32 rows
      expect(two.flops - head).toBe(2 * (one.flops - head));
      expect(two.activationBytes).toBeGreaterThan(one.activationBytes);
      // Tokens four times as many: what is not attention grows fourfold, attention sixteenfold.
      const pairs = 8 * (8 + 16 + 24 + 32 + 40 + 48 + 56 + 64); // 64 tokens in 8 chunks of 8 queries
      const attention = 2 * 7 * 2 * pairs * 32;
      expect(cost(1, 256).flops - head).toBe(4 * (one.flops - head - attention) + 16 * attention);
    });

    test("of logits and probabilities, those of one chunk of learned tokens are there at a time", () => {
      const peak = (maxSupervised: number) => {
        const { graph } = buildGradientGraph({ model, layout, maxTokens: 64, maxSupervised });
        return stepCost(graph, sequenceDimensions({ batch: 1, tokens: 64, supervised: 2048 }, 64)).activationBytes;
      };
      const whole = 2 * 2048 * 640 * 4;
      expect(peak(256)).toBeGreaterThan(whole);
      expect(peak(256) - peak(512)).toBe(whole / 2);
      expect(peak(256) - peak(2048)).toBe(whole - whole / 8);
    });

    test("of attention's scores, those of one chunk of queries are there at a time; masks end where their queries do", () => {
      const peak = (queryChunks: number) => {
        const { graph, losses } = buildSequenceGraph({ model, layout, maxTokens: 512, queryChunks });
        graph.output("losses", losses);
        const dimensions = { batch: 1, tokens: 512, supervised: 8, [QUERIES]: 512 / queryChunks };
        return stepCost(graph, dimensions).activationBytes;
      };
      const pairs = 512 * 512 * 4;
      const scores = 2 * 4 * pairs;
      expect(peak(1)).toBeGreaterThan(scores + pairs);
      expect(peak(1) - peak(2)).toBe(scores / 2 + pairs / 4);
      expect(peak(1) - peak(8)).toBe(scores * (7 / 8) + pairs * (7 / 16));
    });
  });
});
