import { expect, test } from "vitest";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { readLanguageModel } from "../../src/models/index.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { golden } from "../support/golden.js";

const { short } = golden<{ readonly short: { readonly ids: readonly number[]; readonly logits: readonly number[] } }>(
  "phi3-long/golden.json",
);

test("a text within LongRoPE's short context, in a program of its own, has the logits of transformers", async () => {
  const { model, layout, adapter, compile } = await loadArchitecture("phi3-long");
  const logitsWithin = async (maxPositions: number) => {
    const options = { model, adapter: { layout, vector: adapter }, maxPositions };
    const program = await GenerationProgram.compile(nodeEngine, options, await compile());
    const cache = program.cache(1, 1);
    await program.step(cache, [short.ids.slice(0, 3)]);
    const logits = await program.step(cache, [short.ids.slice(3)]);
    await program.release();
    return relativeError(logits, short.logits);
  };
  const { shortContext = 0, maxPositions } = model.dimensions;
  expect(shortContext).toBe(6);
  expect(short.ids.length).toBeLessThanOrEqual(shortContext);
  expect(await logitsWithin(shortContext)).toBeLessThan(1e-4);
  expect(await logitsWithin(maxPositions)).toBeGreaterThan(0.01); // the other factors
});

test("only a model with LongRoPE has a short context, and none beyond its whole one", () => {
  const config = golden<Record<string, unknown>>("phi3-long/config.json");
  expect(readLanguageModel(golden<Record<string, unknown>>("phi3/config.json")).dimensions.shortContext).toBeUndefined();
  expect(readLanguageModel({ ...config, original_max_position_embeddings: 128 }).dimensions.shortContext).toBe(64);
});
