import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { buildLayout } from "../../src/lora/layout.js";
import { readModel } from "../../src/models/index.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import { openModel } from "../../src/workflows/node/open-model.js";
import { golden } from "../support/golden.js";
import { newTrainables } from "../support/new-adapter.js";
import { Random } from "../support/random.js";
import { TINY_CHAT } from "./support.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-int8-model-"));
  vi.stubEnv("LORIKEET_CACHE", join(folder, "cache"));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

test("layers, and a head, whose sizes are no multiples of 16 stay in floating point beside the others, and a step runs", async () => {
  // The tiny chat model, but 40 columns wide between its feed-forward layers, and 632 ids.
  const config = { ...golden<Record<string, unknown>>("tiny-chat/config.json"), intermediate_size: 40, vocab_size: 632 };
  const path = join(folder, "model");
  await mkdir(path);
  await writeFile(join(path, "config.json"), JSON.stringify(config));
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) await copyFile(join(TINY_CHAT, file), join(path, file));
  const random = new Random(9);
  const weights = [...readModel(config).weights].map(([name, shape]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const values = shape.length === 1 ? new Float32Array(count).fill(1) : random.gaussians(count, 0.1);
    return { name, dtype: "F32" as const, shape, data: () => values };
  });
  await writeSafetensors(join(path, "model.safetensors"), weights);

  const ids = Int32Array.from({ length: 32 }, () => random.below(600));
  const batch = buildBatch([{ ids, supervised: new Uint8Array(32).fill(1) }]);
  const losses: number[] = [];
  for (const precision of ["fp32", "int8"] as const) {
    const { model, compile } = await openModel(path, { target: "cpu", precision });
    if (precision === "int8") {
      const inInt8 = [...model.weights.keys()].filter((name) => compile.weights(name).int8 !== undefined);
      const fitting = ["q_proj", "k_proj", "v_proj", "o_proj"].map((layer) => `self_attn.${layer}.weight`);
      expect(inInt8.sort()).toEqual([0, 1].flatMap((block) => fitting.map((layer) => `model.layers.${block}.${layer}`)).sort());
      for (const name of model.weights.keys()) expect(compile.weights(name).data === undefined, name).toBe(inInt8.includes(name));
    }
    const layout = buildLayout(model.linearGroups.map((group) => group.map((layer) => ({ ...layer, rank: 4, scale: 2 }))));
    const program = await GradientProgram.compile(nodeEngine, { model, layout, maxTokens: 32 }, compile);
    const { loss } = await program.run(batch, await newTrainables(layout, "gaussian", 1), new Float32Array(layout.length));
    await program.release();
    losses.push(loss);
  }
  expect(losses[1]).not.toBe(losses[0]);
  expect(Math.abs(losses[1]! / losses[0]! - 1)).toBeLessThan(0.01);
});
