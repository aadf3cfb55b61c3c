import { describe, expect, test } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { viewOf } from "../../src/lora/layout.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { LossProgram } from "../../src/training/loss-program.js";
import { relativeError } from "../support/compare.js";
import { examplesOf, loadTinyModel, tinyModelNames } from "../support/tiny-model.js";
import { compileOptions, MAX_TOKENS, randomExamples } from "./support.js";

/** What the library promises against PEFT, and what the order of float32 sums may change. */
const [PROMISED, SUMMATION] = [1e-4, 1e-5];

describe.each(tinyModelNames)("%s, several examples in a row", (name) => {
  test.each([
    { sizes: { maxTokens: MAX_TOKENS }, parts: "whole" },
    { sizes: { maxTokens: 512, maxSupervised: 1024 }, parts: "queries and learned tokens in 4 chunks" },
    { sizes: { maxTokens: 4096 }, parts: "queries in 16 chunks, to which the row is padded" },
  ])("the summed loss and the gradient of every A and B are PEFT's of the padded batch, $parts", async ({ sizes }) => {
    const tiny = await loadTinyModel(name);
    const examples = examplesOf(tiny.facts.batches[0]!);
    const batch = buildBatch(examples);
    expect([examples.length, batch.batch]).toEqual([2, 1]);
    const program = await GradientProgram.compile(nodeEngine, { ...tiny, ...sizes }, compileOptions(tiny));
    const gradient = new Float32Array(tiny.layout.length);
    const { loss, count } = await program.run(batch, tiny.adapter, gradient);
    await program.release();
    expect(count).toBe(tiny.facts.adapted.count);
    expect(Math.abs(loss / tiny.facts.adapted.sum - 1)).toBeLessThan(SUMMATION);
    for (const [entryName, entry] of tiny.layout.entries) {
      const want = await tiny.golden.readFloat32(`adapted.gradient/base_model.model.${entryName}`);
      expect(relativeError(viewOf(gradient, entry), want), entryName).toBeLessThan(PROMISED);
    }
  });

  test("the loss of every token is PEFT's, in the order of the examples", async () => {
    const tiny = await loadTinyModel(name);
    const program = await LossProgram.compile(nodeEngine, { ...tiny, maxTokens: MAX_TOKENS }, compileOptions(tiny));
    const losses = await program.run(buildBatch(examplesOf(tiny.facts.batches[0]!)), tiny.adapter);
    await program.release();
    const want = (await tiny.golden.readFloat32("adapted.nll")).filter((loss) => loss !== 0); // zero where nothing is learned
    expect(losses).toHaveLength(tiny.facts.adapted.count);
    expect(relativeError(losses, want)).toBeLessThan(PROMISED);
  });

  test("the loss and the gradient of many examples are the sums of those of each alone", async () => {
    const tiny = await loadTinyModel(name);
    const examples = randomExamples(14, { longest: 40 });
    const packed = buildBatch(examples);
    expect(packed.batch).toBeLessThan(examples.length / 2);
    const program = await GradientProgram.compile(nodeEngine, { ...tiny, maxTokens: MAX_TOKENS }, compileOptions(tiny));
    const gradient = new Float32Array(tiny.layout.length);
    const together = await program.run(packed, tiny.adapter, gradient);
    const sum = { loss: 0, count: 0, gradient: new Float64Array(tiny.layout.length) };
    for (const example of examples) {
      const alone = new Float32Array(tiny.layout.length);
      const { loss, count } = await program.run(buildBatch([example]), tiny.adapter, alone);
      sum.loss += loss;
      sum.count += count;
      for (const [index, value] of alone.entries()) sum.gradient[index]! += value;
    }
    await program.release();
    expect(together.count).toBe(sum.count);
    expect(Math.abs(together.loss / sum.loss - 1)).toBeLessThan(SUMMATION);
    for (const [entryName, entry] of tiny.layout.entries) {
      expect(relativeError(viewOf(gradient, entry), viewOf(Float32Array.from(sum.gradient), entry)), entryName).toBeLessThan(SUMMATION);
    }
  });
});
