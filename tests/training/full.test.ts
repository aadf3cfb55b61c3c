import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { initialiseAdapter } from "../../src/lora/initialise.js";
import { type AdapterLayout, viewOf } from "../../src/lora/layout.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { runFolder } from "../../src/workflows/node/run-folder.js";
import { modelProduct } from "../../src/workflows/node/training/products/model-product.js";
import { type ArchitectureGolden, loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { golden, goldenPath } from "../support/golden.js";
import { batchOf } from "../support/tiny-model.js";
import { repeatTrajectory, type Trajectory } from "../support/trajectory.js";

// Training every weight of a tiny Qwen 2, whose head is tied to its table, against what PyTorch made of it (tests/golden/variants.py).

const TOLERANCE = 1e-4;
const MAX_TOKENS = 64;

interface FullFacts {
  readonly sum: number;
  readonly count: number;
  readonly steps: Pick<Trajectory, "loss" | "gradientNorm">;
}

const facts = golden<FullFacts>("variants/full/golden.json");
let model: ArchitectureGolden;
let layout: AdapterLayout;
let tensors: Checkpoint;
let start: Float32Array;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-full-"));
  model = await loadArchitecture("qwen2");
  layout = modelProduct.layout(model.model, []);
  tensors = await openSafetensorsFile(goldenPath("variants/full/golden.safetensors"));
  const wholeOf = ({ name }: { readonly name: string }) => model.checkpoint.readFloat32(name);
  const weightOf = () => Promise.reject(new Error("no weight is frozen"));
  start = (await initialiseAdapter(layout, { initialisation: "peft", rounds: 0, seed: 1, weightOf, wholeOf })).trainables;
});
afterAll(() => rm(folder, { recursive: true }));

const compileGradient = async (gradientCheckpointing = false) =>
  GradientProgram.compile(
    nodeEngine,
    { model: model.model, layout, maxTokens: MAX_TOKENS, gradientCheckpointing },
    {
      ...(await model.compile()),
      weights: (name) => {
        throw new Error(`every weight is fed, but ${name} is read`);
      },
    },
  );

describe("a model of which every weight is trained", () => {
  test.each([false, true])("has PyTorch's loss and gradients by name, gradient checkpointing %s", async (gradientCheckpointing) => {
    const program = await compileGradient(gradientCheckpointing);
    const gradient = new Float32Array(layout.length);
    const { loss, count } = await program.run(batchOf(model.facts.batches[0]), start, gradient);
    await program.release();
    expect(count).toBe(facts.count);
    expect(Math.abs(loss / facts.sum - 1)).toBeLessThan(1e-5);
    const theirs = [...tensors.tensors.keys()].filter((key) => key.startsWith("gradient/"));
    expect([...layout.entries.keys()].map((name) => `gradient/${name}`).sort()).toEqual(theirs.sort());
    for (const [name, entry] of layout.entries)
      expect(relativeError(viewOf(gradient, entry), await tensors.readFloat32(`gradient/${name}`)), name).toBeLessThan(TOLERANCE);
  });

  test("takes PyTorch's ten steps of AdamW, and is written as a model that reads as the same", async () => {
    const program = await compileGradient();
    const wanted = { ...model.facts.trajectory, ...facts.steps };
    const taken = await repeatTrajectory(program, wanted, model.facts.batches.map(batchOf), start);
    await program.release();
    expect(relativeError(taken.loss, facts.steps.loss)).toBeLessThan(TOLERANCE);
    expect(relativeError(taken.gradientNorm, facts.steps.gradientNorm)).toBeLessThan(TOLERANCE);
    for (const [name, entry] of layout.entries) {
      const first = await tensors.readFloat32(`final/${name}`);
      expect(relativeError(viewOf(taken.trainables, entry).subarray(0, first.length), first), name).toBeLessThan(TOLERANCE);
    }

    const task = { taskType: "CAUSAL_LM", trainedModules: [] } as const;
    const config = modelProduct.config(layout, model.model, "qwen2", task);
    const opened = { ...model, name: "qwen2", path: model.folder, ggufMetadata: undefined };
    const run = {
      prepared: { opened, layout, config, task: { labelling: undefined } },
      folder: runFolder(folder),
      state: taken,
      frozen: new Float32Array(),
    };
    await modelProduct.finish(run, () => {});
    const saved = await openSafetensorsFolder(join(folder, "model"));
    expect([...saved.tensors.keys()].sort()).toEqual([...model.checkpoint.tensors.keys()].sort());
    for (const [name, entry] of layout.entries) expect(await saved.readFloat32(name), name).toEqual(viewOf(taken.trainables, entry));
    expect(JSON.parse(await readFile(join(folder, "model", "config.json"), "utf8"))).toMatchObject({
      tie_word_embeddings: true,
      dtype: "float32",
    });
  });

  test("has no head for labels", () => {
    expect(() => modelProduct.layout(model.model, [{ name: "score.weight", shape: [2, 32] }])).toThrow(
      /--method full trains a language model/,
    );
  });
});
