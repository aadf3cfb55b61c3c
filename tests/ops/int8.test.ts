import { describe, expect, test } from "vitest";
import { Graph } from "../../src/graph/graph.js";
import { add } from "../../src/ops/add.js";
import { frozenLinear } from "../../src/ops/frozen-linear.js";
import { gradients } from "../../src/ops/gradients.js";
import { reshape } from "../../src/ops/reshape.js";
import { vocabularyLoss } from "../../src/ops/vocabulary-loss.js";
import { weightedSum } from "../../src/ops/weighted-sum.js";
import type { StoredWeight } from "../../src/runtime/emit.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { Program } from "../../src/runtime/program.js";
import { largestDifference, relativeError } from "../support/compare.js";
import { int8Weight } from "../support/int8-weight.js";
import { Random } from "../support/random.js";
import { results } from "./harness.js";

// Rounding to steps of max/127 is off by 1/√12 of a step: relative to a row of Gaussians, whose largest of some hundreds is
// about 3.2 deviations, by 3.2 / 127 / √12 = 0.7 %. Both factors of a product are rounded: √2 of that, 1.0 %.
const [LEAST, MOST] = [0.003, 0.015];
const [ROWS, INPUTS, OUTPUTS] = [48, 256, 192];

const rowOf = (values: Float32Array, row: number, columns: number) => values.subarray(row * columns, (row + 1) * columns);

/** x [N, K] · Wᵀ with W [M, K], or, `transposed`, x · W with W [K, M], in double precision. */
function productOf(x: Float32Array, weight: Float32Array, inner: number, outer: number, transposed = false): Float64Array {
  const out = new Float64Array((x.length / inner) * outer);
  for (let at = 0; at < out.length; at++) {
    const [row, column] = [Math.floor(at / outer), at % outer];
    for (let k = 0; k < inner; k++) out[at]! += x[row * inner + k]! * weight[transposed ? k * outer + column : column * inner + k]!;
  }
  return out;
}

/** Outputs `y` = x·Wᵀ and `gradient` = dy·W + dx of an x [rows, in]. */
async function runLinear(stored: StoredWeight, x: Float32Array, dy: Float32Array, dx = new Float32Array(x.length)) {
  const [outputs = 0, inputs = 0] = stored.shape;
  const rows = x.length / inputs;
  const graph = new Graph();
  const input = graph.input("x", { dtype: "float32", shape: [rows, inputs] });
  const sumWith = (y: typeof input, name: string, count: number) =>
    weightedSum(reshape(y, [count]), graph.input(name, { dtype: "float32", shape: [count] }));
  const y = frozenLinear(input, graph.weight("weight", [outputs, inputs]));
  graph.output("y", y);
  graph.output("gradient", gradients(add(sumWith(input, "dx", dx.length), sumWith(y, "dy", dy.length)), [input])[0]!);
  const program = await Program.compile(graph, nodeEngine, { target: "cpu", weights: () => stored });
  const found = await results(program, { x, dy, dx }, {});
  await program.release();
  return { y: found.y!, gradient: found.gradient! };
}

function errorsOfRows(got: Float32Array, want: Float64Array, columns: number): number[] {
  return Array.from({ length: want.length / columns }, (_, row) =>
    relativeError(rowOf(got, row, columns), want.subarray(row * columns, (row + 1) * columns)),
  );
}

describe("a frozen layer in int8", () => {
  const random = new Random(1);
  const weight = random.gaussians(OUTPUTS * INPUTS, 0.05);
  const x = random.gaussians(ROWS * INPUTS);
  const dy = random.gaussians(ROWS * OUTPUTS);

  test.each(["row", "tensor", "fine"] as const)(
    "rounded by %s: the product is off by its roundings, not by more, nor by less",
    async (range) => {
      const { y } = await runLinear(int8Weight(weight, [OUTPUTS, INPUTS], { range }), x, dy);
      const error = relativeError(y, productOf(x, weight, INPUTS, OUTPUTS));
      expect(error).toBeGreaterThan(LEAST); // or it was not in int8
      expect(error).toBeLessThan(MOST);
    },
  );

  test("the gradient, and what is added to it exactly", async () => {
    const dx = random.gaussians(ROWS * INPUTS, 10);
    const stored = int8Weight(weight, [OUTPUTS, INPUTS], { range: "row" });
    const { gradient } = await runLinear(stored, x, dy);
    const error = relativeError(gradient, productOf(dy, weight, OUTPUTS, INPUTS, true));
    expect(error).toBeGreaterThan(LEAST);
    expect(error).toBeLessThan(MOST);
    const { gradient: sum } = await runLinear(stored, x, dy, dx);
    expect(
      relativeError(
        sum,
        dx.map((value, at) => value + gradient[at]!),
      ),
    ).toBeLessThan(1e-7);
  });

  test("rows of zeros stay zero; a row a thousand times larger, or smaller, is as exact as the others", async () => {
    const scaled = (values: Float32Array, columns: number) =>
      values.map((value, at) => value * ([1, 1000, 0, 1e-6][Math.floor(at / columns) % 4] ?? 0));
    const [uneven, slopes] = [scaled(x, INPUTS), scaled(dy, OUTPUTS)];
    const { y, gradient } = await runLinear(int8Weight(weight, [OUTPUTS, INPUTS], { range: "row" }), uneven, slopes);
    for (const [got, want, columns] of [
      [y, productOf(uneven, weight, INPUTS, OUTPUTS), OUTPUTS],
      [gradient, productOf(slopes, weight, OUTPUTS, INPUTS, true), INPUTS],
    ] as const) {
      for (const [row, error] of errorsOfRows(got, want, columns).entries()) {
        if (row % 4 === 2) expect(error).toBe(0);
        else expect(error, `row ${row}`).toBeLessThan(1.5 * MOST); // one row alone strays further than their mean
      }
    }
  });

  test("two codes for each value: channels three hundred times as loud leave the others their precision", async () => {
    const isLoud = (at: number) => [3, 100, 255].includes(at % INPUTS);
    // Every weight is a code times the scale, so that only the input is rounded.
    const exact = weight.map((value, at) => (at % INPUTS === 0 ? 127 : Math.round(value * 200)) / 127);
    const loud = x.map((value, at) => value * (isLoud(at) ? 300 : 1));
    const want = productOf(
      loud.map((value, at) => (isLoud(at) ? 0 : value)),
      exact,
      INPUTS,
      OUTPUTS,
    );
    const ofLoud = productOf(
      loud.map((value, at) => (isLoud(at) ? value : 0)),
      exact,
      INPUTS,
      OUTPUTS,
    );
    const errorIn = async (range: "row" | "fine") => {
      const { y } = await runLinear(int8Weight(exact, [OUTPUTS, INPUTS], { range }), loud, dy);
      return relativeError(
        y.map((value, at) => value - ofLoud[at]!),
        want,
      );
    };
    expect(await errorIn("row")).toBeGreaterThan(0.5);
    // A step is the 2·127th part of the other: of a row whose largest is about 600, 600 / 127² / 2 / √12 of a value near one.
    expect(await errorIn("fine")).toBeLessThan(0.008);
    expect(await errorIn("fine")).toBeGreaterThan(1e-4); // or it was not in int8
  });

  test("the largest product that there is comes out whole: sums of two products exceed 16 bits", async () => {
    const inputs = 1536;
    const ones = new Float32Array(OUTPUTS * inputs).fill(1);
    for (const range of ["row", "tensor", "fine"] as const) {
      const stored = int8Weight(ones, [OUTPUTS, inputs], { range });
      const { y, gradient } = await runLinear(stored, new Float32Array(8 * inputs).fill(1), new Float32Array(8 * OUTPUTS).fill(-1));
      for (const value of y) expect(Math.abs(value / inputs - 1)).toBeLessThan(1e-6);
      for (const value of gradient) expect(Math.abs(value / -OUTPUTS - 1)).toBeLessThan(1e-6);
    }
  });

  test("layers that read one input share its codes, and two readers of one weight their file", async () => {
    const graph = new Graph();
    const input = graph.input("x", { dtype: "float32", shape: [ROWS, INPUTS] });
    const other = graph.input("other", { dtype: "float32", shape: [ROWS, INPUTS] });
    const shared = graph.weight("weight", [OUTPUTS, INPUTS]);
    graph.output("one", frozenLinear(input, shared));
    graph.output("two", frozenLinear(other, shared));
    const stored = int8Weight(weight, [OUTPUTS, INPUTS], { range: "row" });
    const program = await Program.compile(graph, nodeEngine, { target: "cpu", weights: () => stored });
    const { one, two } = await results(program, { x, other: x }, {});
    await program.release();
    expect(one).toEqual(two);
    expect(relativeError(one!, productOf(x, weight, INPUTS, OUTPUTS))).toBeLessThan(MOST);
  });
});

describe("the vocabulary's loss in int8", () => {
  const [S, C, V] = [64, 64, 4096];

  /** Losses, row gradients, and the usual size of a logit, in double precision; `rounded` rounds the probabilities to a step of their largest's 255th part. */
  function reference(x: Float32Array, weight: Float32Array, targets: readonly number[], { rounded = false, softCap = Infinity } = {}) {
    const products = productOf(x, weight, C, V);
    const capped = softCap < Infinity;
    const logits = capped ? products.map((z) => softCap * Math.tanh(z / softCap)) : products;
    const losses: number[] = [];
    const gradient = new Float64Array(targets.length * C);
    for (const [row, target] of targets.entries()) {
      const z = logits.subarray(row * V, (row + 1) * V);
      const top = z.reduce((a, b) => Math.max(a, b));
      const sum = z.reduce((total, value) => total + Math.exp(value - top), 0);
      losses.push(top + Math.log(sum) - z[target]!);
      const step = 1 / sum / 255; // the largest probability is 1/sum
      for (let j = 0; j < V; j++) {
        const exact = Math.exp(z[j]! - top) / sum;
        const p = rounded ? Math.round(exact / step) * step : exact;
        const slope = capped ? 1 - (z[j]! / softCap) ** 2 : 1;
        for (let c = 0; c < C; c++) gradient[row * C + c]! += (p - Number(j === target)) * slope * weight[j * C + c]!;
      }
    }
    return { losses, gradient, size: Math.sqrt(logits.reduce((sum, z) => sum + z * z, 0) / logits.length) };
  }

  async function runLoss(stored: StoredWeight, x: Float32Array, targets: readonly number[], chunks: number, softCap?: number) {
    const [vocabulary = 0, columns = 0] = stored.shape;
    const graph = new Graph();
    const input = graph.input("x", { dtype: "float32", shape: [targets.length, columns] });
    const wanted = graph.input("targets", { dtype: "int64", shape: [targets.length] });
    const loss = vocabularyLoss(input, graph.weight("head", [vocabulary, columns]), wanted, { chunks, differentiable: true, softCap });
    graph.output("losses", loss);
    const ones = graph.input("ones", { dtype: "float32", shape: [targets.length] });
    graph.output("gradient", gradients(weightedSum(loss, ones), [input])[0]!);
    const program = await Program.compile(graph, nodeEngine, { target: "cpu", weights: () => stored });
    const feeds = { x, targets: BigInt64Array.from(targets, BigInt), ones: new Float32Array(targets.length).fill(1) };
    const found = await results(program, feeds, {});
    await program.release();
    return { losses: found.losses!, gradient: found.gradient! };
  }

  /** Sums the rows. */
  const total = (gradient: ArrayLike<number>) =>
    Float64Array.from({ length: C }, (_, c) => Array.from({ length: S }, (_, row) => gradient[row * C + c]!).reduce((a, b) => a + b, 0));

  const random = new Random(2);
  // Tokens have a direction in common, as those of a model have: it is what the gradient of the unlikely ones adds up to.
  const common = random.gaussians(C);
  const weight = random.gaussians(V * C, 0.5).map((value, at) => value + common[at % C]! * 0.5);
  const targets = Array.from({ length: S }, () => random.below(V));
  // Each row has one likely token, not always the wanted one, before many unlikely ones.
  const x = new Float32Array(S * C);
  for (let row = 0; row < S; row++) {
    const likely = row % 4 === 0 ? targets[row]! : random.below(V);
    for (let c = 0; c < C; c++) x[row * C + c] = 0.45 * (weight[likely * C + c]! - 0.5 * common[c]!) + 0.05 * random.gaussian();
  }
  const want = reference(x, weight, targets);
  const plain = reference(x, weight, targets, { rounded: true });
  const stored = int8Weight(weight, [V, C], { range: "row" });

  test.each([1, 2, 8])(
    "in %i chunks: losses, the gradient of every row, and its sum over the rows, which plain rounding would lose",
    async (chunks) => {
      const { losses, gradient } = await runLoss(stored, x, targets, chunks);
      // A logit is off by about 1 % of their usual size (above), a loss by two of them; of 64, none by four deviations.
      for (const [row, loss] of want.losses.entries())
        expect(Math.abs(losses[row]! - loss)).toBeLessThan(4 * Math.SQRT2 * MOST * want.size);
      expect(largestDifference(losses, want.losses)).toBeGreaterThan(1e-4); // or it was not in int8

      // Probabilities are off by what their logits are, and by the dither: a step of max(p)/255, √(V/12) of which make 7 % of a token's row.
      expect(Math.max(...errorsOfRows(gradient, want.gradient, C))).toBeLessThan(0.1);
      expect(relativeError(gradient, want.gradient)).toBeLessThan(0.04);
      expect(relativeError(plain.gradient, want.gradient)).toBeGreaterThan(0.2);
      // The thousands of unlikely tokens point somewhere together. Dithered, their codes keep their sum over eight rows.
      expect(relativeError(total(gradient), total(want.gradient))).toBeLessThan(0.05);
      expect(relativeError(total(plain.gradient), total(want.gradient))).toBeGreaterThan(1);
    },
  );

  test("with a soft cap: losses, the gradient of every row, and its sum over the rows", async () => {
    const softCap = 1.5 * want.size; // a usual slope is 0.66
    const capped = reference(x, weight, targets, { softCap });
    expect(relativeError(capped.gradient, want.gradient)).toBeGreaterThan(0.2);
    const { losses, gradient } = await runLoss(stored, x, targets, 2, softCap);
    for (const [row, loss] of capped.losses.entries())
      expect(Math.abs(losses[row]! - loss)).toBeLessThan(4 * Math.SQRT2 * MOST * want.size);
    expect(Math.max(...errorsOfRows(gradient, capped.gradient, C))).toBeLessThan(0.1);
    expect(relativeError(gradient, capped.gradient)).toBeLessThan(0.04);
    expect(relativeError(total(gradient), total(capped.gradient))).toBeLessThan(0.05);
  });

  test("the most that a row's codes add up to stays below 2³¹: equal probabilities of 70,000 tokens", async () => {
    const vocabulary = 70_000;
    const ones = int8Weight(new Float32Array(vocabulary * 16).fill(1), [vocabulary, 16], { range: "row" });
    expect(vocabulary * 255 * 127).toBeGreaterThan(2 ** 31); // codes of 255 would not fit
    const { losses, gradient } = await runLoss(ones, new Float32Array(8 * 16), [0, 1, 2, 3, 4, 5, 6, 69_999], 1);
    for (const loss of losses) expect(Math.abs(loss - Math.log(vocabulary))).toBeLessThan(1e-4);
    // Every token's row is the same: what the probabilities pull up, the target pulls down. Left is the sum of the codes' roundings.
    for (const value of gradient) expect(Math.abs(value)).toBeLessThan(2e-3);
  });
});
