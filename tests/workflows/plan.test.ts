import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { runPlan } from "../../src/workflows/node/plan-run.js";
import { chooseCheckpointing } from "../../src/workflows/node/run-memory.js";
import { fakeContext, jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";

const rows = Array.from({ length: 40 }, (_, index) => ({ prompt: `What is ${index} plus one?`, completion: String(index + 1) }));
const planned = (options: Record<string, unknown>) => runPlan({ model: TINY_CHAT, ...options }, fakeContext());

test("with data: layers, parameters, memory, updates and tokens; nothing is written", async () => {
  const data = await jsonlFile(rows);
  const out = join(await temporaryFolder(), "run");
  const result = await planned({ data, out, rank: 8, epochs: 3 });
  expect(result.layers).toHaveLength(14);
  expect(result.layers[0]).toEqual({
    name: "model.layers.0.self_attn.q_proj",
    inFeatures: 32,
    outFeatures: 32,
    parameters: 8 * (32 + 32),
  });
  expect(result.trainableParameters).toBe(result.layers.reduce((sum, { parameters }) => sum + parameters, 0));
  // 640 × 32 of the vocabulary, and two blocks.
  expect(result.totalParameters).toBe(640 * 32 + 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32 + 2 * 32) + 32);
  expect(result).toMatchObject({ architecture: "llama", device: "cpu", precision: "fp32", trainExamples: 30, validationExamples: 10 });
  expect(result.steps).toBe(Math.ceil((3 * 8 * 4) / 4)); // eight batches of up to four examples an epoch
  expect(result.tokens).toBeGreaterThan(3 * 30 * 10);
  expect(result.seconds).toBeGreaterThan(0);
  const { weights, adapter, activations, own, total, needed, available } = result.memory;
  expect(weights).toBe(2 * 4 * result.totalParameters); // mapped by the program that trains and by the one that measures
  expect(adapter).toBe(4 * 6 * result.trainableParameters); // trainables, gradient and its copy, best, two moments
  expect(activations).toBeGreaterThan(0);
  expect(total).toBe(weights + adapter + activations + own);
  expect(needed).toBeLessThan(total - weights / 2); // its pages are there once; this process is there already
  expect(available).toBeGreaterThan(0);
  expect(await readdir(join(out, ".."))).toEqual([]);
  expect(structuredClone(result)).toEqual(result);
});

test("without data: the most that may be, and no count of updates that only the data would tell", async () => {
  const result = await planned({ maxLength: 128 });
  expect(result).not.toHaveProperty("steps");
  expect(result).not.toHaveProperty("seconds");
  expect(result.tokensPerSecond).toBeGreaterThan(0);
  expect(result.notes.join("\n")).toContain("Without --data");
  const steps = await planned({ maxLength: 128, steps: 5 });
  expect(steps.steps).toBe(5);
  expect(steps).not.toHaveProperty("tokens");
  expect(steps.seconds).toBeCloseTo((5 * 4 * 128) / (steps.tokensPerSecond ?? 0), 5);
  expect((await planned({ minutes: 2 })).seconds).toBe(120);
});

test("memory grows with the batch, the length, accumulation and dropout", async () => {
  const small = (await planned({ maxLength: 64 })).memory;
  const memory = async (options: Record<string, unknown>) => (await planned({ maxLength: 64, ...options })).memory;
  // Up to 256 learned tokens their logits are one piece; more are computed in pieces, and the logits of all are never there.
  expect(small.activations).toBeGreaterThan(1.8 * (await memory({ batchSize: 2 })).activations);
  expect((await memory({ batchSize: 1, maxLength: 256 })).activations).toBeGreaterThan(small.activations); // as many tokens, longer rows
  const { activations } = await memory({ batchSize: 8 });
  expect(activations).toBeGreaterThan(small.activations);
  expect(activations).toBeLessThan(1.8 * small.activations);
  expect((await memory({ accumulate: 2 })).adapter).toBe((small.adapter / 6) * 7);
  expect((await memory({ optimizer: "sgd" })).adapter).toBe((small.adapter / 6) * 5);
  expect((await memory({ dropout: 0.1 })).activations).toBeGreaterThan(small.activations + 16e6);
});

test("in int8: a byte a weight and direction; the same adapter", async () => {
  const [int8, fp32] = [await planned({ maxLength: 64, precision: "int8" }), await planned({ maxLength: 64, precision: "fp32" })];
  expect([int8.precision, fp32.precision]).toEqual(["int8", "fp32"]);
  const layers = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32);
  // Training reads codes for both directions, measuring those of one; norms are float32. Of the table, few rows are read.
  expect(int8.memory.weights).toBe(3 * (layers + 640 * 32) + 2 * 4 * 5 * 32);
  expect(int8.memory).toMatchObject({ adapter: fp32.memory.adapter, activations: fp32.memory.activations });
});

test("what training would refuse, a plan refuses", async () => {
  await expect(planned({ layers: "no_proj" })).rejects.toThrow(/no_proj/);
  await expect(planned({ layers: "no_proj" })).rejects.toBeInstanceOf(InputError);
  await expect(planned({ data: await jsonlFile([{ nothing: 1 }]) })).rejects.toThrow(/rows\.jsonl:1: /);
});

test("gradient checkpointing: a batch takes less and costs a forward pass more; nothing else changes", async () => {
  const [off, on] = [await planned({ maxLength: 64 }), await planned({ maxLength: 64, gradientCheckpointing: "on" })];
  expect([off.gradientCheckpointing, on.gradientCheckpointing]).toEqual([false, true]);
  expect(on.memory.activations).toBeLessThan(off.memory.activations);
  expect({ ...on.memory, activations: 0, own: 0, total: 0, available: 0 }).toEqual({
    ...off.memory,
    activations: 0,
    own: 0,
    total: 0,
    available: 0,
    needed: on.memory.needed,
  });
});

test("auto takes checkpointing where the run would not fit without it, and says so", () => {
  const needed = () => 3e9;
  expect(chooseCheckpointing("auto", needed, 4e9)).toEqual({ gradientCheckpointing: false, note: undefined });
  const { gradientCheckpointing, note } = chooseCheckpointing("auto", needed, 2.5e9);
  expect(gradientCheckpointing).toBe(true);
  expect(note).toBe("gradient checkpointing is on: without it the run would take 3.0 GB, and 2.5 GB are free");
  for (const [setting, is] of [
    ["on", true],
    ["off", false],
  ] as const)
    expect(chooseCheckpointing(setting, needed, 2.5e9)).toEqual({ gradientCheckpointing: is, note: undefined });
});

test("what would lower the peak, with the total that a plan of it gives", async () => {
  const { changes, memory } = await planned({ maxLength: 64, batchSize: 4, precision: "fp32" });
  const options = [
    "--batch-size 2 --accumulate 2",
    "--gradient-checkpointing on",
    "--max-length 32",
    "--precision 4bit",
    "--precision int8",
  ];
  expect(changes.map((change) => change.options).sort()).toEqual(options.sort());
  expect(changes.map(({ total }) => total)).toEqual(changes.map(({ total }) => total).toSorted((a, b) => a - b));
  const shorter = changes.find(({ options }) => options === "--max-length 32")?.total ?? Number.NaN;
  const again = (await planned({ maxLength: 32, precision: "fp32" })).memory;
  expect(memory.total - shorter).toBe(memory.activations - again.activations);
  expect(changes.every(({ fits }) => fits)).toBe(true);
  // What is chosen already is not proposed.
  const fewest = await planned({ maxLength: 64, batchSize: 1, gradientCheckpointing: "on", precision: "4bit" });
  expect(fewest.changes.map(({ options }) => options)).toEqual(["--max-length 32"]);
});

test("pairs: nothing advises to accumulate, with and without data; both texts of a pair count", async () => {
  const pairs = Array.from({ length: 40 }, (_, row) => ({ anchor: `question ${row}`, positive: `answer to ${row}, with more words` }));
  const task = { task: "embedding", maxLength: 64, batchSize: 8, precision: "fp32" };
  const [assumed, known] = [await planned(task), await planned({ ...task, data: await jsonlFile(pairs) })];
  for (const { changes } of [assumed, known]) {
    expect(changes.map(({ options }) => options)).toContain("--batch-size 4");
    expect(changes.map(({ options }) => options).join()).not.toContain("--accumulate");
  }
  expect(known).toMatchObject({ trainExamples: 30, validationExamples: 10, steps: 4 });
  expect(known.trainableParameters).toBe(assumed.trainableParameters);
  const shorter = await planned({ ...task, data: await jsonlFile(pairs.map((row) => ({ ...row, positive: "no" }))) });
  expect(known.tokens).toBeGreaterThan((shorter.tokens ?? 0) + 30 * 3);
  expect((await planned({ ...task, batchSize: 2 })).changes.map(({ options }) => options).join()).not.toContain("--batch-size");
  await expect(planned({ ...task, accumulate: 2 })).rejects.toThrow("is 1 for the task embedding");
});
