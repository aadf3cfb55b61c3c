import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { vectorFromAdapter } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import { rateSpans } from "../../src/lora/learning-rates.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { type AdapterSpec, layOutAdapter } from "../../src/lora/spec.js";
import { runnableLayers } from "../../src/lora/tables.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { golden, goldenPath } from "../support/golden.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf } from "../support/tiny-model.js";
import { tensorsUnlike } from "../support/trajectory.js";

// Adapters of the table of embeddings and of the head, and trained tokens, where a model does more with them than read them
// (tests/golden/vocabulary.py). On Qwen 2 they are among the variants.

const TOLERANCE = 1e-4;
const MAX_TOKENS = 64;

describe.each([
  ["gemma2", "gemma2-matrices"],
  ["gemma2", "gemma2-tokens"],
  ["gpt2", "gpt2-matrices"],
  ["mistral", "mistral-tokens"],
])("%s: %s", (base, name) => {
  test("gives PEFT's logits, loss and gradients by name", async () => {
    const model = await loadArchitecture(base);
    const folder = goldenPath(`vocabulary/${name}`);
    const facts = golden<{ readonly sum: number; readonly count: number }>(`vocabulary/${name}/golden.json`);
    const tensors = await openSafetensorsFile(join(folder, "golden.safetensors"));
    const saved = await readAdapterFolder(join(folder, "adapter"));
    checkFit(saved, runnableLayers(model.model, saved.config.method), base, { model: model.model });
    const { layout, vector } = vectorFromAdapter(saved, model.model);
    const compile = await model.compile();
    const batch = batchOf(model.facts.batches[0]);

    const logits = await sequenceLogits(model.model, batch, compile, { layout, adapter: vector });
    const width = logits.length / batch.segments.length;
    const masked = logits.map((value, index) => value * batch.segments[Math.floor(index / width)]!);
    expect(relativeError(masked, await tensors.readFloat32("logits"))).toBeLessThan(TOLERANCE);

    const program = await GradientProgram.compile(nodeEngine, { model: model.model, layout, maxTokens: MAX_TOKENS }, compile);
    const gradient = new Float32Array(layout.length);
    const { loss, count } = await program.run(batch, vector, gradient);
    await program.release();
    expect(count).toBe(facts.count);
    expect(Math.abs(loss / facts.sum - 1)).toBeLessThan(1e-5);
    expect([...layout.entries.keys()].sort()).toEqual(
      [...tensors.tensors.keys()]
        .flatMap((key) => (key.startsWith("gradient/") ? [key.slice("gradient/base_model.model.".length)] : []))
        .sort(),
    );
    expect(await tensorsUnlike({ layout, golden: tensors }, gradient, "gradient/", TOLERANCE)).toEqual([]);
  });
});

describe("what does not go together is refused", async () => {
  const { model } = await loadArchitecture("qwen2");
  const spec = (asked: Partial<AdapterSpec>): AdapterSpec => ({
    rank: 2,
    alpha: 4,
    dropout: 0,
    layers: { kind: "names", names: ["q_proj"] },
    initialisation: "peft",
    ...asked,
  });
  const named = (...names: string[]): AdapterSpec["layers"] => ({ kind: "names", names });
  test.each([
    [
      { method: "dora", layers: named("embed_tokens") },
      /model\.embed_tokens: the method dora adapts neither a table of embeddings nor a head/,
    ],
    [{ method: "pissa", layers: named("lm_head", "q_proj") }, /lm_head: the method pissa adapts neither/],
    [{ layers: named("embed_tokens", "lm_head"), tiesWeights: true }, /not tied to each other; train the table whole/],
    [{ layers: named("embed_tokens"), modules: ["embed_tokens"] }, /model\.embed_tokens would get an adapter and be trained whole/],
    [{ tokens: [5], modules: ["embed_tokens"] }, /model\.embed_tokens is trained already: leave it out, or leave out the tokens/],
    [{ tokens: [5], layers: named("lm_head") }, /lm_head is trained already/],
    [{ tokens: [95, 96] }, /the model's table has tokens 0 to 95, and none is 96/],
    [{ tokens: [] }, /0 tokens shall be trained, from 1 to 1024 can be/],
    [{ tokens: [4, 4] }, /a token is named twice/],
  ] satisfies readonly (readonly [Partial<AdapterSpec>, RegExp])[])("%j", (asked, message) => {
    expect(() => layOutAdapter(model, spec(asked))).toThrow(message);
  });

  test("all linear layers are those of the blocks", () => {
    const layers = layOutAdapter(model, spec({ layers: { kind: "all-linear" } })).groups.flatMap((group) => group.layers);
    expect(layers.map(({ name }) => name)).toEqual(model.linearGroups.flat().map(({ name }) => name));
  });

  test("LoRA+ has no rate for a table", () => {
    expect(() => rateSpans(layOutAdapter(model, spec({ layers: named("embed_tokens") })), 8)).toThrow(
      /model\.embed_tokens is a table of embeddings, for which PEFT has a third one/,
    );
  });
});
