import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { configOf, vectorFromAdapter } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { mergeCheckpoint } from "../../src/lora/node/merge-checkpoint.js";
import { readLanguageModel } from "../../src/models/index.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { compileOptions } from "../../src/workflows/node/model-weights.js";
import { loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { golden, goldenPath } from "../support/golden.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf, type GoldenBatch } from "../support/tiny-model.js";

// What Gemma has beside the contract of all architectures.

const TOLERANCE = 1e-4;
const json = (path: string) => golden<Record<string, unknown>>(path);

/** The logits of the first text, which has no padding. */
const firstText = (logits: Float32Array) => logits.subarray(0, 16 * 96);

test.each(["gemma2", "gemma3_text"])("%s: the configuration as transformers 4 wrote it gives the same logits", async (name) => {
  const { golden, facts, compile } = await loadArchitecture(name);
  const model = readLanguageModel(json(`${name}/config.transformers4.json`));
  const logits = await sequenceLogits(model, batchOf(facts.batches[0]), await compile());
  expect(relativeError(firstText(logits), firstText(await golden.readFloat32("base.logits")))).toBeLessThan(TOLERANCE);
});

/** The tiny model of texts and images of tests/golden/gemma3.py. */
async function textAndImages() {
  const folder = goldenPath("gemma3");
  const model = readLanguageModel(json("gemma3/config.json"));
  const stored = await openSafetensorsFolder(folder);
  const adapter = await readAdapterFolder(join(folder, "adapter"));
  const wanted = await openSafetensorsFile(join(folder, "golden.safetensors"));
  const batch = batchOf(golden<{ batches: [GoldenBatch] }>("gemma3/golden.json").batches[0]);
  const logitsOf = async (checkpoint: Checkpoint, adapted?: Parameters<typeof sequenceLogits>[3]) => {
    const mapped = await mapWeights(checkpoint, { cacheFolder: join(tmpdir(), "lorikeet-tests"), names: model.weights.keys() });
    return firstText(await sequenceLogits(model, batch, compileOptions(mapped, { target: "cpu", threads: 1 }), adapted));
  };
  return { folder, model, stored, adapter, logitsOf, want: async (name: string) => firstText(await wanted.readFloat32(name)) };
}

test("the text part of a model of texts and images, with PEFT's adapter and without, has transformers' logits", async () => {
  const { model, stored, adapter, logitsOf, want } = await textAndImages();
  const checkpoint = modelCheckpoint(stored, model);
  checkFit(adapter, model.linearGroups.flat(), "gemma3");
  const { layout, vector } = vectorFromAdapter(adapter, model);
  expect(relativeError(await logitsOf(checkpoint), await want("base.logits"))).toBeLessThan(TOLERANCE);
  expect(relativeError(await logitsOf(checkpoint, { layout, adapter: vector }), await want("adapted.logits"))).toBeLessThan(TOLERANCE);
});

test("merged, it keeps the names of its file and what is for images", async () => {
  const { model, stored, adapter, logitsOf, want } = await textAndImages();
  const scratch = await mkdtemp(join(tmpdir(), "lorikeet-gemma3-"));
  const out = join(scratch, "merged");
  await mergeCheckpoint({ checkpoint: modelCheckpoint(stored, model), model, adapter, modelName: "gemma3", companions: [], out });
  const merged = await openSafetensorsFolder(out);
  const shapes = ({ tensors }: Checkpoint) => Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));
  expect(shapes(merged)).toEqual(shapes(stored));
  const tower = "vision_tower.encoder.layers.0.self_attn.q_proj.weight";
  expect(await merged.readFloat32(tower)).toEqual(await stored.readFloat32(tower));
  expect(relativeError(await logitsOf(modelCheckpoint(merged, model)), await want("adapted.logits"))).toBeLessThan(TOLERANCE);
  await rm(scratch, { recursive: true });
});

test("an adapter that is trained here names its layers whole: PEFT would find the tower for images by their last parts", async () => {
  const { model, adapter } = await textAndImages();
  const { layout } = vectorFromAdapter(adapter, model);
  const spec = { rank: 2, alpha: 4, dropout: 0, layers: { kind: "all-linear" }, initialisation: "peft" } as const;
  const layers = model.linearGroups.flat();
  const { targetModules } = configOf(spec, layout, [...layers, ...(model.otherLayers ?? [])], undefined);
  expect([...targetModules].sort()).toEqual(adapter.layers.map(({ name }) => name).sort());
});

const sizes = (model: ReturnType<typeof readLanguageModel>) =>
  [...model.weights.values()].reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);

test("what a configuration leaves out is transformers' default: Gemma 2 2B, and the text part of Gemma 3 4B", () => {
  expect(sizes(readLanguageModel({ model_type: "gemma2" }))).toBe(2_614_341_888);
  const text = { hidden_size: 2560, intermediate_size: 10_240, num_hidden_layers: 34, sliding_window: 1024 };
  const model = readLanguageModel({ model_type: "gemma3", text_config: text });
  expect(sizes(model)).toBe(3_880_263_168);
  expect(model.head).toBe("model.language_model.embed_tokens.weight");
});

test.each([
  ["an encoder", { use_bidirectional_attention: true }, "a gemma3_text whose tokens see later ones is not supported"],
  ["an activation", { hidden_activation: "relu" }, '"hidden_activation" is "relu"; supported here are gelu,'],
  ["another rope", { rope_parameters: { full_attention: { rope_type: "ntk" } } }, 'rope type "ntk" is not supported'],
  ["windows of nothing", { sliding_window: null, layer_types: Array(26).fill("sliding_attention") }, 'the model has no "sliding_window"'],
])("%s is refused", (_what, change, message) => {
  const read = () => readLanguageModel({ model_type: "gemma3_text", ...change });
  expect(read).toThrow(InputError);
  expect(read).toThrow(message);
});
