import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCombine } from "../../src/workflows/node/combine-run.js";
import { runConvert } from "../../src/workflows/node/convert-run.js";
import { runExport } from "../../src/workflows/node/export-run.js";
import { runExtract } from "../../src/workflows/node/extract-run.js";
import { runInspect } from "../../src/workflows/node/inspect-run.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { runPlan } from "../../src/workflows/node/plan-run.js";
import { runResize } from "../../src/workflows/node/resize-run.js";
import { runUnmerge } from "../../src/workflows/node/unmerge-run.js";
import { goldenPath } from "../support/golden.js";
import { fakeContext, temporaryFolder } from "./support.js";

/** A folder with config.json and weights alone, as transformers' `model.save_pretrained` writes it. */
const model = goldenPath("qwen2");
const adapter = goldenPath("variants/rslora/adapter");
const subtracting = goldenPath("variants/olora/raw");

describe("a model without a tokenizer", () => {
  test("merges and unmerges, and its difference is extracted", async () => {
    const folder = await temporaryFolder();
    const tuned = join(folder, "merged");
    const merged = await runMerge({ model, adapter, out: tuned, restorable: true, dtype: "f32" }, fakeContext());
    expect(merged.files).toContain("model.safetensors");
    const restored = await runUnmerge({ merged: tuned, adapter, out: join(folder, "base") }, fakeContext());
    expect(restored.layers).toBe(merged.layers);
    const extracted = await runExtract({ base: model, tuned, rank: 4, out: join(folder, "extracted") }, fakeContext());
    expect(extracted.layers).toHaveLength(merged.layers);
    expect(extracted.relativeError).toBeLessThan(1e-5);
  });

  test("is enough to look inside an adapter, to combine, resize and convert it, and for mlx", async () => {
    const out = join(await temporaryFolder(), "out");
    const inspected = await runInspect({ directory: adapter, model }, fakeContext());
    expect(inspected.layers.every(({ amplification }) => amplification !== undefined)).toBe(true);
    await runCombine({ expression: "a", adapter: [`a=${subtracting}`], model, out: `${out}-sum` }, fakeContext());
    await runResize({ adapter: subtracting, model, rank: 1, out: `${out}-small` }, fakeContext());
    await runConvert({ adapter: subtracting, model, out: `${out}-plain` }, fakeContext());
    await runExport({ adapter, model, to: "mlx", out: `${out}-mlx` }, fakeContext());
    await runExport({ adapter, model, to: "gguf", out: `${out}.gguf` }, fakeContext());
  });

  test("is planned as long as no token is named by its text", async () => {
    const plan = await runPlan({ model }, fakeContext());
    expect(plan.layers).toHaveLength(14);
    await expect(runPlan({ model, trainableTokens: ["<x>"] }, fakeContext())).rejects.toThrow("has no tokenizer.json");
  });

  test("is refused where its text is written down", async () => {
    const out = join(await temporaryFolder(), "out");
    for (const to of ["onnx", "gguf"])
      await expect(runMerge({ model, adapter, to, out }, fakeContext())).rejects.toThrow("has no tokenizer.json");
    await expect(runExport({ adapter, model, to: "gguf", out }, fakeContext())).rejects.toThrow("has no tokenizer.json");
  });
});
