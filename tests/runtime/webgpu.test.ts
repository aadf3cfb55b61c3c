import { beforeAll, describe, expect, test } from "vitest";
import { viewOf } from "../../src/lora/layout.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { opCases } from "../ops/cases.js";
import { buildCase, compileCase, drawFeeds, results } from "../ops/harness.js";
import { relativeError } from "../support/compare.js";
import { seededLlama } from "../support/seeded-llama.js";
import { useSwiftShader } from "../support/swiftshader.js";
import { batchOf, loadTinyModel } from "../support/tiny-model.js";
import { trainingStep } from "../support/training-step.js";

/** SwiftShader lies within 4e-7 of the CPU in one operation; what is promised of a training step is 1e-4. */
const TOLERANCE = 1e-4;
const OPERATION_TOLERANCE = 5e-6;

// The first run of a program compiles its shaders, on the CPU here.
const SHADER_TIMEOUT = 300_000;

const webgpu = { target: "webgpu", refuseFallback: true } as const;

beforeAll(useSwiftShader);

describe("every operation's lowerings for WebGPU equal those for the CPU, no node left to the CPU", () => {
  test.each(opCases.map((opCase) => [opCase.name, opCase] as const))("%s", { timeout: SHADER_TIMEOUT }, async (_name, opCase) => {
    const built = buildCase(opCase);
    const onCpu = await compileCase(built.graph, nodeEngine, { target: "cpu" });
    const onGpu = await compileCase(built.graph, nodeEngine, webgpu);
    const dimensions = opCase.dimensions.at(-1)!;
    const feeds = drawFeeds(opCase, built, dimensions, 3);
    const want = await results(onCpu, feeds, dimensions);
    const got = await results(onGpu, feeds, dimensions);
    for (const [name, values] of Object.entries(want)) expect(relativeError(got[name]!, values), name).toBeLessThan(OPERATION_TOLERANCE);
    await onCpu.release();
    await onGpu.release();
  });
});

test("a tiny Llama's training step: the loss and every gradient equal the CPU's", { timeout: SHADER_TIMEOUT }, async () => {
  const llama = seededLlama();
  const cpu = await trainingStep(nodeEngine, llama, { target: "cpu" });
  const gpu = await trainingStep(nodeEngine, llama, webgpu);
  expect(Math.abs(gpu.loss / cpu.loss - 1)).toBeLessThan(TOLERANCE);
  for (const [name, entry] of llama.layout.entries) {
    expect(relativeError(viewOf(gpu.gradient, entry), viewOf(cpu.gradient, entry)), name).toBeLessThan(TOLERANCE);
  }
});

test("bfloat16 weights: the provider has no such type, so the CPU widens them, and the step is the same", {
  timeout: SHADER_TIMEOUT,
}, async () => {
  const tiny = await loadTinyModel("tiny-llama3");
  const gradientOn = async (target: "cpu" | "webgpu") => {
    const program = await GradientProgram.compile(nodeEngine, { ...tiny, maxTokens: 16 }, { ...tiny, target });
    const gradient = new Float32Array(tiny.layout.length);
    await program.run(batchOf(tiny.facts.batches[0]!), tiny.adapter, gradient);
    await program.release();
    return gradient;
  };
  expect(relativeError(await gradientOn("webgpu"), await gradientOn("cpu"))).toBeLessThan(TOLERANCE);
  const strict = { ...tiny, ...webgpu };
  await expect(GradientProgram.compile(nodeEngine, { ...tiny, maxTokens: 16 }, strict)).rejects.toThrow(
    "fallback to CPU EP has been explicitly disabled",
  );
});
