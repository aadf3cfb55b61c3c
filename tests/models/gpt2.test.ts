import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { configOf } from "../../src/lora/adapter.js";
import { buildLayout } from "../../src/lora/layout.js";
import { readPeftConfig, writePeftConfig } from "../../src/lora/peft-config.js";
import { readModel } from "../../src/models/index.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import { compileOptions } from "../../src/workflows/node/model-weights.js";
import { loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf } from "../support/tiny-model.js";

// What GPT-2 has beside the contract of all architectures.

test("a file of the bare model, with masks of older versions, gives transformers' logits", async () => {
  const { folder, model, golden, facts } = await loadArchitecture("gpt2");
  const scratch = await mkdtemp(join(tmpdir(), "lorikeet-gpt2-"));
  const stored = await openSafetensorsFolder(folder);
  const tensors = [...stored.tensors.values()].map(({ name, shape }) => ({
    name: name.replace(/^transformer\./, ""),
    dtype: "F32" as const,
    shape,
    data: () => stored.readFloat32(name),
  }));
  const masks = [0, 1].flatMap((block) => [
    { name: `h.${block}.attn.bias`, dtype: "U8" as const, shape: [1, 1, 8, 8], data: () => new Uint8Array(64).fill(1) },
    { name: `h.${block}.attn.masked_bias`, dtype: "F32" as const, shape: [], data: () => Float32Array.of(-1e4) },
  ]);
  await writeSafetensors(join(scratch, "model.safetensors"), [...tensors, ...masks]);
  const checkpoint = modelCheckpoint(await openSafetensorsFolder(scratch), model);
  expect([...checkpoint.tensors.keys()].sort()).toEqual([...model.weights.keys()].sort());
  const mapped = await mapWeights(checkpoint, { cacheFolder: scratch, names: model.weights.keys() });
  const logits = await sequenceLogits(model, batchOf(facts.batches[0]), compileOptions(mapped, { target: "cpu", threads: 1 }));
  const rows = 16 * model.dimensions.vocabulary; // the first text has no padding
  expect(relativeError(logits.subarray(0, rows), (await golden.readFloat32("base.logits")).subarray(0, rows))).toBeLessThan(1e-4);
  await rm(scratch, { recursive: true });
});

test("an adapter that is trained here says fan_in_fan_out, as PEFT's own does", async () => {
  const { model } = await loadArchitecture("gpt2");
  const layers = model.linearGroups.flat();
  const adapted = layers.filter(({ name }) => name.endsWith(".c_attn"));
  const layout = buildLayout(adapted.map((layer) => [{ ...layer, rank: 2, scale: 1 }]));
  const spec = { rank: 2, alpha: 2, dropout: 0, layers: { kind: "names", names: ["c_attn"] }, initialisation: "peft" } as const;
  const text = writePeftConfig(configOf(spec, layout, layers, undefined));
  expect(JSON.parse(text)).toMatchObject({ fan_in_fan_out: true, target_modules: ["c_attn"] });
  expect(readPeftConfig(text, "adapter_config.json").isConv1D).toBe(true);
});

test.each([
  ["an activation", { activation_function: "relu" }, '"activation_function" is "relu"; supported here are gelu, gelu_new,'],
  ["a reader of an encoder", { add_cross_attention: true }, "a GPT-2 that reads an encoder is not supported"],
  ["heads", { n_head: 5 }, "5 heads cannot share 768 columns evenly"],
  ["a model of a million layers", { n_layer: 1e6 }, '"n_layer" must be a whole number from 1 to 1024, found 1000000'],
])("%s is refused", (_what, change, message) => {
  const read = () => readModel({ model_type: "gpt2", ...change });
  expect(read).toThrow(InputError);
  expect(read).toThrow(message);
});

test("a configuration that says nothing is that of the small model of 124 million weights", () => {
  const { weights, dimensions } = readModel({ model_type: "gpt2" });
  expect(dimensions).toMatchObject({ vocabulary: 50_257, blocks: 12, headSize: 64, maxPositions: 1024 });
  const count = [...weights.values()].reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);
  expect(count).toBe(124_439_808);
});
