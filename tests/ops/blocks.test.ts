import { describe, expect, test } from "vitest";
import { apply, Graph, type Tensor } from "../../src/graph/graph.js";
import { defineOp, everywhere, float32 } from "../../src/graph/op.js";
import { frozenLinear } from "../../src/ops/frozen-linear.js";
import { gatherRows } from "../../src/ops/gather-rows.js";
import { gradients } from "../../src/ops/gradients.js";
import { reshape } from "../../src/ops/reshape.js";
import { timesTable, timesTableTransposed } from "../../src/ops/table.js";
import { vocabularyLoss } from "../../src/ops/vocabulary-loss.js";
import { weightedSum } from "../../src/ops/weighted-sum.js";
import type { StoredWeight } from "../../src/runtime/emit.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { buildOnnx, Program } from "../../src/runtime/program.js";
import { roundToBlocks, roundToBytes } from "../../src/weights/kernels/blocks.js";
import type { CodeType } from "../../src/weights/stored-types.js";
import { type BlockWeights, blockWeights } from "../support/block-weight.js";
import { relativeError } from "../support/compare.js";
import { Random } from "../support/random.js";
import { type Feeds, results } from "./harness.js";

const [ROWS, INPUTS, OUTPUTS] = [24, 96, 80];

/** Every form in which GGUF's types are held, with signs of all numbers mixed. */
const forms: readonly { readonly name: string; readonly size: number; readonly codes: CodeType; readonly minimums: boolean }[] = [
  { name: "Q4_0", size: 32, codes: "int4", minimums: false },
  { name: "Q4_1 and Q4_K", size: 32, codes: "uint4", minimums: true },
  { name: "Q8_0, IQ4_NL, IQ4_XS and MXFP4", size: 32, codes: "int8", minimums: false },
  { name: "Q5_1 and Q5_K", size: 32, codes: "int8", minimums: true },
  { name: "Q6_K", size: 16, codes: "int8", minimums: false },
  { name: "Q2_K", size: 16, codes: "uint4", minimums: true },
  { name: "Q3_K", size: 16, codes: "int4", minimums: false },
];

function drawn({ size, codes, minimums }: (typeof forms)[number], random = new Random(3)): BlockWeights {
  const count = OUTPUTS * INPUTS;
  const [least, most] = { int4: [-8, 7], uint4: [0, 15], int8: [-128, 127] }[codes] as [number, number];
  const blocks = {
    codes: Int8Array.from({ length: count }, () => least + random.below(most - least + 1)),
    scales: random.gaussians(count / size, 0.01),
    minimums: minimums ? random.gaussians(count / size, 0.1) : new Float32Array(0),
  };
  return blockWeights(blocks, [OUTPUTS, INPUTS], size, codes);
}

async function run(build: (graph: Graph, weight: Tensor) => void, stored: StoredWeight, feeds: Feeds) {
  const graph = new Graph();
  build(graph, graph.weight("weight", stored.shape));
  const program = await Program.compile(graph, nodeEngine, { target: "cpu", weights: () => stored });
  const found = await results(program, feeds, {});
  await program.release();
  return found;
}

/** The outputs with the weight in blocks and in float32, of the same numbers. */
async function both({ inBlocks, inFloat }: BlockWeights, build: (graph: Graph, weight: Tensor) => void, feeds: Feeds) {
  return [await run(build, inBlocks, feeds), await run(build, inFloat, feeds)] as const;
}

describe.each(forms)("a weight in blocks, as of $name, is its float32 form bit for bit", (form) => {
  const weights = drawn(form);
  const random = new Random(4);
  const x = random.gaussians(ROWS * INPUTS);

  test("in a frozen layer and in its gradient", async () => {
    const dy = random.gaussians(ROWS * OUTPUTS);
    const build = (graph: Graph, weight: Tensor) => {
      const input = graph.input("x", { dtype: "float32", shape: [ROWS, INPUTS] });
      const factors = graph.input("dy", { dtype: "float32", shape: [dy.length] });
      const y = frozenLinear(input, weight);
      graph.output("y", y);
      graph.output("gradient", gradients(weightedSum(reshape(y, [dy.length]), factors), [input])[0]!);
    };
    const [got, want] = await both(weights, build, { x, dy });
    expect(got).toEqual(want);
    expect(want.gradient?.some((value) => value !== 0)).toBe(true);
  });

  test("in rows that are gathered by index", async () => {
    const index = BigInt64Array.from([0, OUTPUTS - 1, 7, 7, 42], BigInt);
    const build = (graph: Graph, weight: Tensor) =>
      graph.output("y", gatherRows(weight, graph.input("index", { dtype: "int64", shape: [index.length] })));
    const [got, want] = await both(weights, build, { index });
    expect(got).toEqual(want);
    expect(want.y?.length).toBe(index.length * INPUTS);
  });

  test("in the loss of a vocabulary and its gradient", async () => {
    const targets = BigInt64Array.from({ length: ROWS }, () => BigInt(random.below(OUTPUTS)));
    const build = (graph: Graph, weight: Tensor) => {
      const input = graph.input("x", { dtype: "float32", shape: [ROWS, INPUTS] });
      const wanted = graph.input("targets", { dtype: "int64", shape: [ROWS] });
      const losses = vocabularyLoss(input, weight, wanted, { chunks: 2, differentiable: true });
      graph.output("losses", losses);
      const ones = graph.constant(new Float32Array(ROWS).fill(1), [ROWS]);
      graph.output("gradient", gradients(weightedSum(losses, ones), [input])[0]!);
    };
    const [got, want] = await both(weights, build, { x, targets });
    expect(got).toEqual(want);
  });
});

describe("a table that is brought to float32 some rows at a time", () => {
  const SLICE = 4 * INPUTS * 30; // 80 rows: 27, 27 and 26
  const shape = [OUTPUTS, INPUTS] as const;
  const there = defineOp<null>({
    name: "There",
    infer: () => [float32(ROWS, OUTPUTS)],
    gradient: "noGradient",
    lower: everywhere((e, { inputs: [x = "", table = ""] }) => timesTableTransposed(e, x, table, shape, SLICE)),
  });
  const back = defineOp<null>({
    name: "Back",
    infer: () => [float32(ROWS, INPUTS)],
    gradient: "noGradient",
    lower: everywhere((e, { inputs: [p = "", table = "", addend = ""] }) =>
      timesTable(e, p, table, shape, { addend, addendScale: -1 }, SLICE),
    ),
  });
  const build = (graph: Graph, weight: Tensor) => {
    const input = graph.input("x", { dtype: "float32", shape: [ROWS, INPUTS] });
    const y = apply(there, [input, weight], null);
    graph.output("y", y);
    graph.output("z", apply(back, [y, weight, input], null));
  };

  test.each(forms)("gives the products of the whole: $name", async (form) => {
    const { inBlocks, inFloat } = drawn(form);
    const x = new Random(6).gaussians(ROWS * INPUTS);
    const [got, want] = await both({ inBlocks, inFloat }, build, { x });
    for (const name of ["y", "z"]) expect(relativeError(got[name]!, want[name]!)).toBeLessThan(1e-6);
    const graph = new Graph();
    build(graph, graph.weight("weight", shape));
    const { nodes } = buildOnnx(graph, "cpu", () => inBlocks).model;
    expect(nodes.filter(({ type }) => type === "DequantizeLinear")).toHaveLength(6);
  });
});

test("what rounding to 4 and to 8 bits costs a product: the step's share of the deviation, not more, nor less", async () => {
  const random = new Random(8);
  const values = random.gaussians(OUTPUTS * INPUTS, 0.05);
  const x = random.gaussians(ROWS * INPUTS);
  const build = (graph: Graph, weight: Tensor) =>
    graph.output("y", frozenLinear(graph.input("x", { dtype: "float32", shape: [ROWS, INPUTS] }), weight));
  const exact = await run(build, { dtype: "float32", shape: [OUTPUTS, INPUTS], data: new Uint8Array(values.buffer) }, { x });
  const errorOf = async (stored: StoredWeight) => relativeError((await run(build, stored, { x })).y!, exact.y!);
  // 32 normal numbers span about 4.1 deviations: 15 steps of 0.28, each off by 1/√12 of a step: 7.9 %; the fit takes some of it.
  const four = await errorOf(blockWeights(roundToBlocks(values, 32), [OUTPUTS, INPUTS], 32, "uint4").inBlocks);
  expect(four).toBeGreaterThan(0.065);
  expect(four).toBeLessThan(0.08);
  // The largest of 32 is about 2.1 deviations: steps of 2.1/127, 0.5 %.
  const eight = await errorOf(blockWeights(roundToBytes(values, 32), [OUTPUTS, INPUTS], 32, "int8").inBlocks);
  expect(eight).toBeGreaterThan(0.003);
  expect(eight).toBeLessThan(0.007);
});
