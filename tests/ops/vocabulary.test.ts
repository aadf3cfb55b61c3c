import { expect, test } from "vitest";
import { Graph } from "../../src/graph/graph.js";
import { crossEntropy } from "../../src/ops/cross-entropy.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { Random } from "../support/random.js";
import { compileCase, results } from "./harness.js";

test("cross-entropy over a real vocabulary: sums of 49,152 terms keep their precision", async () => {
  const [rows, vocabulary] = [16, 49_152];
  const random = new Random(1);
  const logits = random.gaussians(rows * vocabulary, 3, 5);
  const targets = Array.from({ length: rows }, () => random.below(vocabulary));
  const want = targets.map((target, row) => {
    const values = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    const top = values.reduce((a, b) => Math.max(a, b));
    return top + Math.log(values.reduce((sum, value) => sum + Math.exp(value - top), 0)) - values[target]!;
  });
  const graph = new Graph();
  const input = graph.input("logits", { dtype: "float32", shape: ["n", vocabulary] });
  graph.output("losses", crossEntropy(input, graph.input("targets", { dtype: "int64", shape: ["n"] })));
  const program = await compileCase(graph, nodeEngine, { target: "cpu" });
  const { losses } = await results(program, { logits, targets: BigInt64Array.from(targets, BigInt) }, { n: rows });
  const errors = want.map((loss, row) => losses![row]! - loss);
  expect(Math.max(...errors.map(Math.abs))).toBeLessThan(4e-5);
  // No bias: over many tokens the errors cancel.
  expect(Math.abs(errors.reduce((sum, error) => sum + error, 0) / rows)).toBeLessThan(1e-5);
  await program.release();
});
