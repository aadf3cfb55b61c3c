import { describe, expect, test } from "vitest";
import { Graph } from "../../src/graph/graph.js";
import { gradients } from "../../src/ops/gradients.js";
import { lossChunks, vocabularyLoss } from "../../src/ops/vocabulary-loss.js";
import { weightedSum } from "../../src/ops/weighted-sum.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { relativeError } from "../support/compare.js";
import { Random } from "../support/random.js";
import { compileCase, results } from "./harness.js";

const [ROWS, VOCABULARY] = [16, 49_152];

// Logits spread as a model's are, and nearly equal ones, whose sum has most to lose.
describe.each([
  [3, 5],
  [0.1, 0],
])("a loss over a real vocabulary, logits of deviation %d around %d: sums of 49,152 terms keep their precision", (deviation, mean) => {
  const random = new Random(1);
  const logits = random.gaussians(ROWS * VOCABULARY, deviation, mean); // [S, V]
  const targets = Array.from({ length: ROWS }, () => random.below(VOCABULARY));
  const want = inDoublePrecision(logits, targets);

  test.each([1, 4])("in %i chunks", async (chunks) => {
    const graph = new Graph();
    const x = graph.input("x", { dtype: "float32", shape: [ROWS, ROWS] });
    const weight = graph.input("weight", { dtype: "float32", shape: [VOCABULARY, ROWS] });
    const wanted = graph.input("targets", { dtype: "int64", shape: [ROWS] });
    const trained = vocabularyLoss(x, weight, wanted, { chunks, differentiable: true });
    graph.output("trained", trained);
    graph.output("measured", vocabularyLoss(x, weight, wanted, { chunks, differentiable: false }));
    const loss = weightedSum(trained, graph.input("weights", { dtype: "float32", shape: [ROWS] }));
    graph.output("gradient", gradients(loss, [x])[0]!);
    const program = await compileCase(graph, nodeEngine, { target: "cpu" });
    const found = await results(
      program,
      {
        // The identity makes the projection exact: the logits are the numbers drawn above.
        x: Float32Array.from({ length: ROWS * ROWS }, (_, at) => Number(at % ROWS === Math.floor(at / ROWS))),
        weight: transposed(logits, ROWS, VOCABULARY),
        targets: BigInt64Array.from(targets, BigInt),
        weights: new Float32Array(ROWS).fill(1),
      },
      {},
    );
    for (const kind of ["trained", "measured"]) {
      const errors = want.map(({ loss }, row) => found[kind]![row]! - loss);
      expect(Math.max(...errors.map(Math.abs)), kind).toBeLessThan(4e-5);
      // No bias: over many tokens the errors cancel.
      expect(Math.abs(errors.reduce((sum, error) => sum + error, 0) / ROWS), kind).toBeLessThan(1e-5);
    }
    const slopes = want.flatMap(({ gradient }) => gradient);
    expect(relativeError(found.gradient!, slopes)).toBeLessThan(1e-5);
    await program.release();
  });
});

/** The loss of each row of logits [S, V], and, as x is the identity and W the transposed logits, its gradient softmax(z)·W − Wₜ. */
function inDoublePrecision(logits: Float32Array, targets: readonly number[]): { readonly loss: number; readonly gradient: number[] }[] {
  const rowOf = (row: number) => logits.subarray(row * VOCABULARY, (row + 1) * VOCABULARY);
  return targets.map((target, row) => {
    const values = rowOf(row);
    const top = values.reduce((a, b) => Math.max(a, b));
    const sum = values.reduce((total, value) => total + Math.exp(value - top), 0);
    const slope = (weights: Float32Array) =>
      weights.reduce((total, value, j) => total + (Math.exp(values[j]! - top) / sum) * value, 0) - weights[target]!;
    return { loss: top + Math.log(sum) - values[target]!, gradient: targets.map((_, column) => slope(rowOf(column))) };
  });
}

/** [rows, columns] → [columns, rows]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: values.length }, (_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!);
}

test.each([
  [256, 49_152, 1],
  [300, 49_152, 2],
  [4096, 49_152, 8],
  [100, 262_144, 1],
  [300, 262_144, 4],
  [4096, 262_144, 32],
])("up to %i rows before %i classes are computed in %i chunks", (rows, classes, chunks) => {
  expect(lossChunks(rows, classes)).toBe(chunks);
});
