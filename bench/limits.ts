// Measures the machine's limits: the fastest of several runs of one large product in fp32 and, where asked for, in int8.
import { performance } from "node:perf_hooks";
import { Graph } from "../src/graph/graph.js";
import { frozenLinear } from "../src/ops/frozen-linear.js";
import type { StoredInt8, StoredWeight } from "../src/runtime/emit.js";
import { nodeEngine } from "../src/runtime/node/engine.js";
import { Program } from "../src/runtime/program.js";
import type { MachineLimits } from "./rows.js";

/** So wide that rounding the operand to 8 bits, which is counted, takes a small part of the time. */
const [ROWS, INPUTS, OUTPUTS] = [1024, 2048, 8192];
const RUNS = 8;

const floats = (count: number, value: number) => new Uint8Array(new Float32Array(count).fill(value).buffer);

function fp32Weight(): StoredWeight {
  return { dtype: "float32", shape: [OUTPUTS, INPUTS], data: floats(OUTPUTS * INPUTS, 0.5) };
}

function int8Weight(): StoredWeight {
  const parts: StoredInt8["parts"] = new Map([
    ["smooth", { dtype: "float32", shape: [INPUTS], data: floats(INPUTS, 1) }],
    ["forwardCodes", { dtype: "int8", shape: [INPUTS, OUTPUTS], data: new Uint8Array(OUTPUTS * INPUTS).fill(64) }],
    ["forwardScales", { dtype: "float32", shape: [OUTPUTS], data: floats(OUTPUTS, 1) }],
  ]);
  return { dtype: "float32", shape: [OUTPUTS, INPUTS], data: undefined, int8: { range: "row", parts } };
}

/** Operations a second, a multiplication and an addition being two. */
async function limit(weight: StoredWeight): Promise<number> {
  const graph = new Graph();
  const x = graph.input("x", { dtype: "float32", shape: [ROWS, INPUTS] });
  graph.output("y", frozenLinear(x, graph.weight("weight", [OUTPUTS, INPUTS])));
  const program = await Program.compile(graph, nodeEngine, {
    target: "cpu",
    packWeights: weight.int8 !== undefined,
    weights: () => weight,
  });
  const feeds = { x: Float32Array.from({ length: ROWS * INPUTS }, (_, index) => Math.sin(index)) };
  const into = { y: new Float32Array(ROWS * OUTPUTS) };
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    await program.run(feeds, {}, into);
    best = Math.min(best, (performance.now() - started) / 1000);
  }
  await program.release();
  return (2 * ROWS * INPUTS * OUTPUTS) / best;
}

const limits: MachineLimits = { fp32: await limit(fp32Weight()), int8: process.argv.includes("int8") ? await limit(int8Weight()) : null };
console.log(JSON.stringify(limits));
