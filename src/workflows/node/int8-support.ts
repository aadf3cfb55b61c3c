import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import * as z from "zod";
import { makeFolder } from "../../files/node/make-folder.js";
import { Graph, type Tensor } from "../../graph/graph.js";
import { lorikeetCacheFolder } from "../../hub/node/settings.js";
import { frozenLinear } from "../../ops/frozen-linear.js";
import type { StoredInt8, StoredWeight } from "../../runtime/emit.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import { Program } from "../../runtime/program.js";
import { writeFileAtomic } from "../../weights/node/atomic-file.js";

/** A product that training meets: rows of 4 × 256 tokens, through a feed-forward layer of SmolLM2-135M. */
const [ROWS, INPUTS, OUTPUTS] = [1024, 576, 1536];
const MILLISECONDS = 300;
const FEWEST_RUNS = 5;

/** What this machine makes of products in int8. */
export interface Int8Support {
  /** Whether the largest numbers multiply right: processors without an 8-bit dot product may cut sums of two products short. */
  readonly exact: boolean;
  /** How many times as fast as in float32 a product is, its rounding included. */
  readonly speedup: number;
}

const savedSchema = z.strictObject({ machine: z.string(), exact: z.boolean(), speedup: z.number(), flops: z.number().optional() });

const file = () => join(lorikeetCacheFolder(), "machine.json");
const machineName = (threads: number | undefined) =>
  `${cpus()[0]?.model ?? "unknown"} × ${threads ?? cpus().length}, ${nodeEngine.version}`;

/** Measured once for a processor, engine and number of threads, and remembered: a later run must choose the same. */
export async function int8Support(threads: number | undefined): Promise<Int8Support> {
  const machine = machineName(threads);
  const saved = await readSaved(file());
  if (saved?.machine === machine) return saved;
  const measured = await measureInt8(threads);
  await writeSaved({ machine, ...measured });
  return measured;
}

/**
 * The most operations per second that `measure` has found on this machine so far, now or before: other work can only slow a
 * measurement down.
 */
export async function bestProductSpeed(threads: number | undefined, measure: () => Promise<number>): Promise<number> {
  const { exact, speedup } = await int8Support(threads);
  const machine = machineName(threads);
  const saved = await readSaved(file());
  const before = saved?.machine === machine ? (saved.flops ?? 0) : 0;
  const flops = Math.max(before, await measure());
  if (flops > before) await writeSaved({ machine, exact, speedup, flops });
  return flops;
}

/** A cache that cannot be written costs the next start a moment. */
async function writeSaved(saved: z.infer<typeof savedSchema>): Promise<void> {
  await makeFolder(dirname(file()))
    .then(() => writeFileAtomic(file(), `${JSON.stringify(saved)}\n`))
    .catch(() => undefined);
}

async function readSaved(path: string) {
  try {
    return savedSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined; // not there, or of another version: it is measured again
  }
}

async function measureInt8(threads: number | undefined): Promise<Int8Support> {
  const int8 = await compileProduct(threads, int8Weight());
  const fp32 = await compileProduct(threads, { dtype: "float32", shape: [OUTPUTS, INPUTS], data: new Uint8Array(4 * OUTPUTS * INPUTS) });
  try {
    const largest = await int8.run({ x: new Float32Array(ROWS * INPUTS).fill(1) }, {});
    // Codes of 127 on both sides: each product, scaled back, is 127.
    const exact = largest.y?.data.every((value) => Math.abs(Number(value) / (INPUTS * 127) - 1) < 1e-4) ?? false;
    const speedup = await speedupOf(fp32, int8);
    return { exact, speedup };
  } finally {
    await int8.release();
    await fp32.release();
  }
}

/** A weight of which every code is the largest, each standing for 127. */
function int8Weight(): StoredWeight {
  const floats = (count: number, value: number) => new Uint8Array(new Float32Array(count).fill(value).buffer);
  const codes = new Uint8Array(OUTPUTS * INPUTS).fill(127);
  const parts: StoredInt8["parts"] = new Map([
    ["smooth", { dtype: "float32", shape: [INPUTS], data: floats(INPUTS, 1) }],
    ["forwardCodes", { dtype: "int8", shape: [INPUTS, OUTPUTS], data: codes }],
    ["forwardScales", { dtype: "float32", shape: [OUTPUTS], data: floats(OUTPUTS, 1) }],
  ]);
  return { dtype: "float32", shape: [OUTPUTS, INPUTS], data: undefined, int8: { range: "row", parts } };
}

function compileProduct(threads: number | undefined, weight: StoredWeight): Promise<Program> {
  const graph = new Graph();
  const x: Tensor = graph.input("x", { dtype: "float32", shape: [ROWS, INPUTS] });
  graph.output("y", frozenLinear(x, graph.weight("weight", [OUTPUTS, INPUTS])));
  return Program.compile(graph, nodeEngine, { target: "cpu", threads, weights: () => weight });
}

/** How many times as long `slow` takes as `fast`: each at its best, taken in turns, so that a busy moment of the machine does not decide. */
async function speedupOf(slow: Program, fast: Program): Promise<number> {
  const feeds = { x: Float32Array.from({ length: ROWS * INPUTS }, (_, index) => Math.sin(index)) };
  const into = { y: new Float32Array(ROWS * OUTPUTS) };
  const secondsOf = async (program: Program) => {
    const start = performance.now();
    await program.run(feeds, {}, into);
    return (performance.now() - start) / 1000;
  };
  for (const program of [slow, fast]) await program.run(feeds, {}, into); // the first run plans
  let [bestSlow, bestFast] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const end = performance.now() + MILLISECONDS;
  for (let runs = 0; runs < FEWEST_RUNS || performance.now() < end; runs++) {
    bestSlow = Math.min(bestSlow, await secondsOf(slow));
    bestFast = Math.min(bestFast, await secondsOf(fast));
  }
  return bestSlow / bestFast;
}
