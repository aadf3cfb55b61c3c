import { expect, test } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { LossProgram } from "../../src/training/loss-program.js";
import { meanStates } from "../../src/training/objectives/mean-states.js";
import { relativeError } from "../support/compare.js";
import { loadEncoder, statesOf } from "../support/encoder.js";

// transformers' hidden states are the reference: their mean over a text is what embeds it.
test("the mean states of texts are the means of transformers' hidden states, several texts in a row", async () => {
  const it = await loadEncoder("bert");
  const [texts] = it.facts.batches;
  const states = await it.golden.readFloat32("hidden"); // of the real tokens, one after the other
  expect(relativeError(await statesOf(it.model, texts, await it.compile()), states)).toBeLessThan(1e-4);
  const width = it.model.dimensions.hidden;
  const lengths = texts.attention_mask.map((row) => row.reduce((sum, real) => sum + real, 0));
  const examples = lengths.map((length, b) => ({
    ids: Int32Array.from(texts.input_ids[b]!.slice(0, length)),
    tokenTypes: Uint8Array.from(texts.token_type_ids[b]!.slice(0, length)),
    places: Int32Array.of(0),
    targets: Int32Array.of(0),
    weights: Float32Array.of(1),
  }));
  const short = { ...examples[1]!, ids: examples[1]!.ids.slice(0, 3), tokenTypes: examples[1]!.tokenTypes.slice(0, 3) };
  const batch = buildBatch([...examples, short]);
  expect(batch.batch).toBeLessThan(3);
  const program = await LossProgram.compile(nodeEngine, { model: it.model, objective: meanStates, maxTokens: 64 }, await it.compile());
  const { outputs, columns } = await program.predict(batch, new Float32Array());
  await program.release();
  expect(columns).toBe(width);
  let start = 0;
  for (const [b, length] of lengths.entries()) {
    const mean = Array.from({ length: width }, (_, c) => {
      const column = Array.from({ length }, (__, t) => states[(start + t) * width + c]!);
      return column.reduce((sum, value) => sum + value, 0) / length;
    });
    expect(relativeError(outputs.subarray(b * width, (b + 1) * width), mean)).toBeLessThan(1e-4);
    start += length;
  }
});
