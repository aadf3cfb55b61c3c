import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { viewOf } from "../../src/lora/layout.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { type ArchitectureGolden, loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { compiled } from "../support/compiled.js";
import { dequantised } from "../support/dequantised.js";
import { loadEncoder, loadTask, taughtTexts } from "../support/encoder.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf } from "../support/tiny-model.js";
import { architectures, encoders } from "./architectures.js";

// Leaving a bias, a gain or a setting out changes the logits by more than a tenth (tests/golden/architectures.py makes sure), a window
// included; rounding to 8 bits changes those of such small models by a few hundredths.
const LOGITS = 0.05;
/** The cosine of a gradient with PEFT's: an independent error e of 14 % gives 0.99. */
const COSINE = 0.99;
const MAX_TOKENS = 64;

const cache = mkdtempSync(join(tmpdir(), "lorikeet-contract-"));
beforeAll(() => {
  process.env.LORIKEET_CACHE = cache;
});
afterAll(() => rmSync(cache, { recursive: true }));

describe.each(architectures)("%s", (name) => {
  let it: ArchitectureGolden;
  beforeAll(async () => {
    it = await loadArchitecture(name);
  });

  test("in int8 the loss and the gradient are near PEFT's", async () => {
    const program = await GradientProgram.compile(nodeEngine, { ...it, maxTokens: MAX_TOKENS }, await compiled(it, { precision: "int8" }));
    const gradient = new Float32Array(it.layout.length);
    const { loss } = await program.run(batchOf(it.facts.batches[0]), it.adapter, gradient);
    await program.release();
    expect(Math.abs(loss / it.facts.adapted.sum - 1)).toBeLessThan(0.02);
    const want = new Float32Array(it.layout.length);
    for (const [entryName, entry] of it.layout.entries) {
      viewOf(want, entry).set(await it.golden.readFloat32(`adapted.gradient/base_model.model.${entryName}`));
    }
    expect(cosine(gradient, want)).toBeGreaterThan(COSINE);
    expect(relativeError(gradient, want)).toBeGreaterThan(1e-3); // or it was not in int8
  });

  // The arithmetic is that of float32, which contract.test.ts compares with transformers: only the numbers are rounded.
  test("in 4 bits the logits are those of the rounded weights in float32", async () => {
    const inBlocks = await compiled(it, { precision: "4bit" });
    const held = it.model.linearGroups.flat().map((layer) => inBlocks.weights(`${layer.name}.weight`));
    expect(held.some(({ blocks }) => blocks?.codes.dtype === "uint4")).toBe(true);
    const batch = batchOf(it.facts.batches[0]);
    const want = await sequenceLogits(it.model, batch, dequantised(inBlocks), it);
    expect(relativeError(await sequenceLogits(it.model, batch, inBlocks, it), want)).toBeLessThan(1e-5);
    expect(relativeError(want, await sequenceLogits(it.model, batch, await it.compile(), it))).toBeGreaterThan(1e-3);
  });

  test("answers in int8 have nearly the logits of transformers, in pieces and single tokens", async () => {
    const compile = await compiled(it, { precision: "int8", answering: true });
    const adapter = { layout: it.layout, vector: it.adapter };
    const program = await GenerationProgram.compile(nodeEngine, { model: it.model, adapter, maxPositions: MAX_TOKENS }, compile);
    const [ids = []] = it.facts.batches[0].input_ids; // the longest: no padding
    const rows = program.cache(1, 1);
    const got: number[] = [];
    const { shortContext = 0 } = it.model.dimensions; // shorter texts are not as in the golden: phi3.test.ts
    const ends = [1, 2, 3, 7, 8, 13, 14, 15, 16];
    for (const [index, to] of ends.entries()) {
      const logits = await program.step(rows, [ids.slice(ends[index - 1] ?? 0, to)]);
      if (to > shortContext) got.push(...logits);
    }
    await program.release();
    const all = await it.golden.readFloat32("adapted.logits");
    const compared = ends.filter((to) => to > shortContext);
    const want = compared.flatMap((to) => [...all.subarray((to - 1) * program.vocabulary, to * program.vocabulary)]);
    expect(relativeError(got, want)).toBeLessThan(LOGITS);
    expect(relativeError(got, want)).toBeGreaterThan(1e-4); // or it was not in int8
  });
});

const encoderTasks = encoders.flatMap((name) => [[name, "sequence"] as const, [name, "token"] as const]);

test.each(encoderTasks)("%s in int8: the loss and the gradient of %s classification are near PEFT's", async (name, kind) => {
  const it = await loadEncoder(name);
  const task = await loadTask(it, kind);
  const compile = await compiled({ ...it, model: task.model }, { precision: "int8" });
  const program = await GradientProgram.compile(nodeEngine, { ...task, maxTokens: MAX_TOKENS }, compile);
  const gradient = new Float32Array(task.layout.length);
  const { loss } = await program.run(taughtTexts(it.facts.batches[0], kind), task.vector, gradient);
  await program.release();
  expect(Math.abs(loss / task.facts.sum - 1)).toBeLessThan(0.05);
  const want = new Float32Array(task.layout.length);
  for (const [entryName, entry] of task.layout.entries) {
    viewOf(want, entry).set(await it.golden.readFloat32(`${kind}.gradient/base_model.model.${entryName}`));
  }
  expect(cosine(gradient, want)).toBeGreaterThan(COSINE);
  expect(relativeError(gradient, want)).toBeGreaterThan(1e-3); // or it was not in int8
});

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, at) => sum + value * y[at]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
