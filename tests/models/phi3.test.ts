import { beforeAll, expect, test } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { GenerationSession } from "../../src/generation/generator.js";
import { argMax } from "../../src/generation/sampling.js";
import { readLanguageModel } from "../../src/models/index.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { answer } from "../generation/support.js";
import { type ArchitectureGolden, loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { golden } from "../support/golden.js";
import { batchOf, examplesOf, type GoldenBatch } from "../support/tiny-model.js";
import { tensorsUnlike } from "../support/trajectory.js";

// LongRoPE: texts within the context of the pretraining, 6 tokens here, have other frequencies than longer ones.

interface Short {
  readonly batch: GoldenBatch;
  readonly sum: number;
  /** A text, whose logits at each length are the golden `short.growing`. */
  readonly ids: readonly number[];
}

const { short } = golden<{ readonly short: Short }>("phi3-long/golden.json");
const TOLERANCE = 1e-4;

let it: ArchitectureGolden;
beforeAll(async () => {
  it = await loadArchitecture("phi3-long");
});

test("a batch of short texts has the loss and the gradients of transformers, in the program that trains on long ones too", async () => {
  const program = await GradientProgram.compile(nodeEngine, { ...it, maxTokens: 64 }, await it.compile());
  const gradient = new Float32Array(it.layout.length);
  const run = async (batch: Parameters<typeof program.run>[0], sum: number, prefix: string) => {
    const { loss } = await program.run(batch, it.adapter, gradient);
    expect(Math.abs(loss / sum - 1)).toBeLessThan(1e-5);
    expect(await tensorsUnlike(it, gradient, prefix, TOLERANCE)).toEqual([]);
  };
  await run(batchOf(short.batch), short.sum, "short.gradient/");
  await run(batchOf(it.facts.batches[0]), it.facts.adapted.sum, "adapted.gradient/");
  await run(buildBatch(examplesOf(short.batch)), short.sum, "short.gradient/");
  // The last of seven tokens is not read, and makes the text a long one: it is predicted as in the longer text of the golden.
  const ids = Int32Array.from(short.ids.slice(0, 7));
  const seven = buildBatch([{ ids, supervised: Uint8Array.of(0, 0, 0, 0, 0, 0, 1) }]);
  const width = it.model.dimensions.vocabulary;
  const sixth = (await it.golden.readFloat32("adapted.logits")).subarray(5 * width, 6 * width);
  const total = Math.log(sixth.reduce((sum, logit) => sum + Math.exp(logit), 0));
  expect((await program.run(seven, it.adapter, gradient)).loss).toBeCloseTo(total - sixth[short.ids[6]!]!, 4);
  await program.release();
});

test("an answer that grows out of the short context has the logits of transformers at each length", async () => {
  const adapter = { layout: it.layout, vector: it.adapter };
  const program = await GenerationProgram.compile(nodeEngine, { model: it.model, adapter, maxPositions: 64 }, await it.compile());
  const want = await it.golden.readFloat32("short.growing"); // [12, V]
  const row = (length: number) => want.subarray((length - 1) * program.vocabulary, length * program.vocabulary);
  const cache = program.cache(2, 1);
  // The second sequence lies two tokens behind, so that they leave the short context at different steps.
  for (let length = 3; length <= short.ids.length; length++) {
    const fed = length === 3 ? [short.ids.slice(0, 3), short.ids.slice(0, 1)] : [[short.ids[length - 1]!], [short.ids[length - 3]!]];
    const logits = await program.step(cache, fed);
    expect([cache.length(0), cache.length(1)]).toEqual([length, length - 2]);
    expect(relativeError(logits.subarray(0, program.vocabulary), row(length))).toBeLessThan(TOLERANCE);
    expect(relativeError(logits.subarray(program.vocabulary), row(length - 2))).toBeLessThan(TOLERANCE);
  }
  expect(relativeError(row(6), row(7))).toBeGreaterThan(0.01);

  // A conversation that comes back to a short text.
  const session = new GenerationSession(program);
  for (const length of [12, 5, 6, 7, 3]) {
    expect(await answer(session, short.ids.slice(0, length), { maxNewTokens: 1 }), `${length} tokens`).toEqual([argMax(row(length))]);
  }
  await program.release();
});

test("only a model with LongRoPE has a short context, and none beyond its whole one", () => {
  const config = golden<Record<string, unknown>>("phi3-long/config.json");
  expect(it.model.dimensions.shortContext).toBe(6);
  expect(readLanguageModel(golden<Record<string, unknown>>("phi3/config.json")).dimensions.shortContext).toBeUndefined();
  expect(readLanguageModel({ ...config, original_max_position_embeddings: 128 }).dimensions.shortContext).toBe(64);
});
