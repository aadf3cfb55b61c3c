import { performance } from "node:perf_hooks";
import { RunError } from "../../errors.js";
import { Graph } from "../../graph/graph.js";
import type { Target } from "../../graph/op.js";
import { linear } from "../../ops/linear.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import { Program } from "../../runtime/program.js";

/** Rows of a batch of 4 × 256 tokens, and the width and feed-forward width of SmolLM2-135M: a product that training meets. */
const ROWS = 1024;
const INPUTS = 576;
const OUTPUTS = 1536;
/** Long enough that a moment's load of the machine does not decide. */
const MILLISECONDS = 400;
const FEWEST_RUNS = 1;

/**
 * Multiplies matrices of a size that training meets, and checks the result.
 *
 * @returns operations per second in the best run: a busy moment of the machine does not decide
 * @throws RunError where the device computes wrongly; whatever the engine throws where it cannot be used.
 */
export async function measureProductSpeed({ target, threads }: { target: Target; threads?: number | undefined }): Promise<number> {
  const graph = new Graph();
  const x = graph.input("x", { dtype: "float32", shape: [ROWS, INPUTS] });
  const weight = graph.input("weight", { dtype: "float32", shape: [OUTPUTS, INPUTS] });
  graph.output("y", linear(x, weight));
  const noWeights = (name: string): never => {
    throw new Error(`this graph has no weight ${name}`);
  };
  const program = await Program.compile(graph, nodeEngine, { target, threads, weights: noWeights });
  const feeds = { x: waves(ROWS * INPUTS), weight: waves(OUTPUTS * INPUTS) };
  const y = new Float32Array(ROWS * OUTPUTS);
  try {
    await program.run(feeds, {}, { y }); // the first run plans and compiles
    checkProduct(feeds.x, feeds.weight, y);
    let best = Number.POSITIVE_INFINITY;
    const end = performance.now() + MILLISECONDS;
    for (let runs = 0; runs < FEWEST_RUNS || performance.now() < end; runs++) {
      const start = performance.now();
      await program.run(feeds, {}, { y });
      best = Math.min(best, (performance.now() - start) / 1000);
    }
    return (2 * ROWS * INPUTS * OUTPUTS) / best;
  } finally {
    await program.release();
  }
}

/** Numbers between -1 and 1 that do not repeat with a row. */
function waves(length: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => Math.sin(index * 0.7));
}

/** Compares the last element, which every device computes last, and one in the middle. */
function checkProduct(x: Float32Array, weight: Float32Array, y: Float32Array): void {
  for (const [row, column] of [
    [ROWS / 2, OUTPUTS / 3],
    [ROWS - 1, OUTPUTS - 1],
  ] as const) {
    let want = 0;
    for (let k = 0; k < INPUTS; k++) want += (x[row * INPUTS + k] ?? 0) * (weight[column * INPUTS + k] ?? 0);
    const found = y[row * OUTPUTS + column] ?? Number.NaN;
    if (!(Math.abs(found - want) <= 1e-2)) throw new RunError(`a matrix product gave ${found} where ${want} was expected`);
  }
}
