import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { configOf } from "../../src/lora/adapter.js";
import { product } from "../../src/lora/kernels/products.js";
import { buildLayout } from "../../src/lora/layout.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { adaptGroups } from "../../src/lora/spec.js";
import { variantOf } from "../../src/lora/variants/index.js";
import type { ModelGraph } from "../../src/models/architecture.js";
import { readModel } from "../../src/models/index.js";
import { settledBlocks } from "../../src/weights/kernels/blocks.js";
import { openGguf, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import type { DescribedModel } from "../../src/workflows/node/described-model.js";
import { withOwnBase } from "../../src/workflows/node/training/own-base.js";
import type { TrainSettings } from "../../src/workflows/options.js";
import { relativeError } from "../support/compare.js";
import { goldenPath } from "../support/golden.js";
import { TINY_CHAT, temporaryFolder } from "./support.js";
import { ofType, questionsFile, runHere } from "./training-support.js";

// A run whose adapter belongs to frozen weights of its own.

const options = async (out: string) => ({
  model: TINY_CHAT,
  data: await questionsFile(),
  out,
  method: "loftq",
  precision: "4bit",
  rank: 2,
  loftqRounds: 2,
  steps: 3,
  saveEvery: 1,
  lr: 1e-9,
  batchSize: 4,
  threads: 1,
  report: false,
});

test("a run of LoftQ leaves a rounded base, to which its adapter belongs, and goes on beside it", async () => {
  const out = join(await temporaryFolder(), "run");
  const killed = runHere(await options(out), {
    onEvent: (event) => {
      if (event.type === "step" && event.step === 2) throw new Error("killed");
    },
  });
  await expect(killed).rejects.toThrow("killed");
  const told = ofType(await runHere({ ...(await options(out)), resume: true }), "progress").map(({ task }) => task);
  expect(told).not.toContain("writing the rounded base (once)");

  const { base_model_name_or_path: base } = JSON.parse(await readFile(join(out, "adapter", "adapter_config.json"), "utf8"));
  expect(base).toBe(join(out, "base"));
  const [original, rounded] = [await openSafetensorsFolder(TINY_CHAT), await openSafetensorsFolder(base)];
  expect([...rounded.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
  const { layers } = await readAdapterFolder(join(out, "last"));
  for (const { name, a, b, scale, inputs, outputs, rank } of layers) {
    const weight = await original.readFloat32(`${name}.weight`);
    const beside = await rounded.readFloat32(`${name}.weight`);
    const change = product(b, a, outputs, rank, inputs);
    const together = beside.map((value, at) => value + scale * change[at]!);
    const plain = relativeError(settledBlocks(weight, 32), weight);
    expect(relativeError(beside, weight)).toBeGreaterThan(0.5 * plain);
    expect(relativeError(together, weight) / plain, name).toBeLessThan(0.98);
  }
  const untouched = await rounded.readFloat32("model.norm.weight");
  expect(untouched).toEqual(await original.readFloat32("model.norm.weight"));
});

test("LoftQ says what it needs", async () => {
  const out = join(await temporaryFolder(), "run");
  const given = await options(out);
  await expect(runHere({ ...given, precision: "auto" })).rejects.toThrow(
    "options.method loftq is for frozen weights in 4bit: give options.precision 4bit",
  );
  const file = goldenPath("gguf/llama-quantised.gguf");
  const { config, checkpoint } = await openGguf(file);
  const model = readModel(config);
  const spec = { method: "loftq", rank: 2, alpha: 2, dropout: 0, layers: { kind: "all-linear" }, initialisation: "peft" } as const;
  const layout = buildLayout(adaptGroups(model.linearGroups, spec), [], variantOf("loftq"));
  const described = { name: file, path: file, config, model, checkpoint } as DescribedModel<ModelGraph>;
  const wish = { settings: { out } as TrainSettings, spec, layout, config: configOf(spec, layout, [], file) };
  await expect(withOwnBase(described, wish, {})).rejects.toThrow(
    /llama-quantised\.gguf is quantised already \(Q\w+\): what rounding took from its weights is not known\. Take its full-precision version, or the method lora\./,
  );
});
