import { beforeAll, expect, test } from "vitest";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { viewOf } from "../../src/lora/layout.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { loadEncoder, loadTask, taughtTexts } from "../support/encoder.js";
import { useSwiftShader } from "../support/swiftshader.js";
import { batchOf } from "../support/tiny-model.js";
import { architectures, encoders } from "./architectures.js";

const TOLERANCE = 1e-4;
const MAX_TOKENS = 64;

beforeAll(useSwiftShader);

// The first run of a program compiles its shaders, on the CPU here.
test.each(architectures)("%s on WebGPU, no node left to the CPU: losses and gradients are PEFT's", { timeout: 300_000 }, async (name) => {
  const it = await loadArchitecture(name);
  const compile = { ...(await it.compile({ target: "webgpu" })), refuseFallback: true };
  const program = await GradientProgram.compile(nodeEngine, { ...it, maxTokens: MAX_TOKENS }, compile);
  const gradient = new Float32Array(it.layout.length);
  const { loss } = await program.run(batchOf(it.facts.batches[0]), it.adapter, gradient);
  await program.release();
  expect(Math.abs(loss / it.facts.adapted.sum - 1)).toBeLessThan(TOLERANCE);
  for (const [entryName, entry] of it.layout.entries) {
    const want = await it.golden.readFloat32(`adapted.gradient/base_model.model.${entryName}`);
    expect(relativeError(viewOf(gradient, entry), want), entryName).toBeLessThan(TOLERANCE);
  }
});

test.each(architectures)("%s answers on WebGPU with the logits of transformers", { timeout: 300_000 }, async (name) => {
  const it = await loadArchitecture(name);
  const compile = { ...(await it.compile({ target: "webgpu" })), refuseFallback: true };
  const adapter = { layout: it.layout, vector: it.adapter };
  const program = await GenerationProgram.compile(nodeEngine, { model: it.model, adapter, maxPositions: MAX_TOKENS }, compile);
  const [ids = []] = it.facts.batches[0].input_ids; // the longest: no padding
  const want = await it.golden.readFloat32("adapted.logits");
  const cache = program.cache(1, 1);
  for (const [from, to] of [
    [0, 9],
    [9, 12],
    [12, 13],
  ] as const) {
    const logits = await program.step(cache, [ids.slice(from, to)]);
    const row = want.subarray((to - 1) * program.vocabulary, to * program.vocabulary);
    expect(relativeError(logits, row)).toBeLessThan(TOLERANCE);
  }
  await program.release();
});

const encoderTasks = encoders.flatMap((name) => [[name, "sequence"] as const, [name, "token"] as const]);

test.each(encoderTasks)("%s on WebGPU: loss and gradients of %s classification are PEFT's", { timeout: 300_000 }, async (name, kind) => {
  const it = await loadEncoder(name);
  const task = await loadTask(it, kind);
  const compile = { ...(await it.compile({ target: "webgpu" })), refuseFallback: true };
  const program = await GradientProgram.compile(nodeEngine, { ...task, maxTokens: MAX_TOKENS }, compile);
  const gradient = new Float32Array(task.layout.length);
  const { loss } = await program.run(taughtTexts(it.facts.batches[0], kind), task.vector, gradient);
  await program.release();
  expect(Math.abs(loss / task.facts.sum - 1)).toBeLessThan(TOLERANCE);
  for (const [entryName, entry] of task.layout.entries) {
    const want = await it.golden.readFloat32(`${kind}.gradient/base_model.model.${entryName}`);
    expect(relativeError(viewOf(gradient, entry), want), entryName).toBeLessThan(TOLERANCE);
  }
});
