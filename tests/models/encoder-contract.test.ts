import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { vectorFromAdapter } from "../../src/lora/adapter.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { EmbeddingProgram } from "../../src/training/embedding-program.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { LossProgram } from "../../src/training/loss-program.js";
import { readEmbeddingAdapter } from "../../src/workflows/node/embed-run.js";
import { relativeError } from "../support/compare.js";
import { type EncoderGolden, type EncoderTask, loadEncoder, loadTask, statesOf, taughtTexts } from "../support/encoder.js";
import { savedAdapter } from "../support/saved-adapter.js";
import { repeatTrajectory, tensorsUnlike } from "../support/trajectory.js";
import { encoders } from "./architectures.js";

// What every encoder keeps, on a tiny model of it, against what transformers and PEFT made of that model.

/** transformers and PEFT in fp32 lie within 3e-6 of fp64; what the library promises is 1e-4. */
const TOLERANCE = 1e-4;
const MAX_TOKENS = 64;

// Proves peft-adapter in: PEFT's scores, vectors, gradients and ten steps with heads, for every encoder
// Proves folder in: transformers' hidden states, for every encoder
describe.each(encoders)("%s", (name) => {
  let it: EncoderGolden;
  beforeAll(async () => {
    it = await loadEncoder(name);
  });

  test("the model and its head list every weight that the checkpoint holds, in the shape it has there", () => {
    const head = it.model.classificationHead("sequence", 3);
    const listed = [...it.model.weights, ...head.weights, ...head.parameters.map(({ name, shape }) => [name, shape] as const)];
    const shapes = [...it.checkpoint.tensors.values()].map((tensor) => [tensor.name, tensor.shape] as const);
    expect(Object.fromEntries(listed.map(([weight, shape]) => [weight, [...shape]]))).toEqual(Object.fromEntries(shapes));
  });

  test.each([
    ["whole", undefined],
    ["queries in 4 chunks", 512],
  ])("hidden states of texts padded on the right and on the left, %s", async (_parts, maxTokens) => {
    const want = await it.golden.readFloat32("hidden");
    for (const texts of [it.facts.batches[0], it.facts.paddedLeft]) {
      expect(relativeError(await statesOf(it.model, texts, await it.compile(), maxTokens), want)).toBeLessThan(TOLERANCE);
    }
  });

  test.each(["first", "last", "mean"] as const)("vectors of texts, padded on either side: %s", async (pooling) => {
    const states = await it.golden.readFloat32("hidden"); // rows of the first text, then of the second
    const width = it.model.dimensions.hidden;
    const lengths = it.facts.batches[0].attention_mask.map((row) => row.filter((real) => real === 1).length);
    const want = lengths.flatMap((length, text) => {
      const begin = lengths.slice(0, text).reduce((sum, one) => sum + one, 0);
      const row = (t: number) => [...states.subarray((begin + t) * width, (begin + t + 1) * width)];
      const rows = pooling === "mean" ? Array.from({ length }, (_, t) => row(t)) : [row(pooling === "first" ? 0 : length - 1)];
      const pooled = Array.from({ length: width }, (_, column) => rows.reduce((sum, one) => sum + one[column]!, 0) / rows.length);
      return pooled.map((value) => value / Math.hypot(...pooled));
    });
    const embedding = { pooling, normalised: true };
    const program = await EmbeddingProgram.compile(nodeEngine, { model: it.model, embedding, maxTokens: MAX_TOKENS }, await it.compile());
    for (const texts of [it.facts.batches[0], it.facts.paddedLeft]) {
      const batch = taughtTexts(texts, "sequence"); // its places are the first tokens
      const last = batch.supervisedRows.map((row, text) => row + BigInt((lengths[text] ?? 1) - 1));
      expect(relativeError(await program.run(pooling === "last" ? { ...batch, supervisedRows: last } : batch), want)).toBeLessThan(
        TOLERANCE,
      );
    }
    await program.release();
  });

  test("vectors with an adapter that PEFT trained beside the bare model, whose names lack the prefix", async () => {
    const stored = await readEmbeddingAdapter(join(it.folder, "embedding-adapter"), { name, model: it.model });
    const adapter = vectorFromAdapter(stored, it.model);
    const options = { model: it.model, embedding: { pooling: "mean", normalised: true }, adapter, maxTokens: MAX_TOKENS } as const;
    const program = await EmbeddingProgram.compile(nodeEngine, options, await it.compile());
    const found = await program.run(taughtTexts(it.facts.batches[0], "sequence"));
    await program.release();
    expect(relativeError(found, await it.golden.readFloat32("embedding.mean"))).toBeLessThan(TOLERANCE);
  });

  describe.each(["sequence", "token"] as const)("%s classification", (kind) => {
    let task: EncoderTask;
    beforeAll(async () => {
      task = await loadTask(it, kind);
    });

    test("an adapter on all linear layers has PEFT's layers, the head is what PEFT trains whole, and both are written as PEFT writes them", async () => {
      expect(task.layout.groups.flatMap(({ layers }) => layers.map((layer) => layer.name))).toEqual(
        task.model.linearGroups.flat().map((layer) => layer.name),
      );
      const head = it.model.classificationHead(kind, 3).parameters;
      expect(new Map(task.layout.modules.map(({ name, shape }) => [name, [...shape]]))).toEqual(
        new Map(head.map(({ name, shape }) => [name, [...shape]])),
      );
      const [theirs, ours] = [join(it.folder, `${kind}-adapter`), await mkdtemp(join(tmpdir(), "lorikeet-contract-"))];
      await writeAdapterFolder(ours, await readAdapterFolder(theirs));
      expect(await savedAdapter(ours)).toEqual(await savedAdapter(theirs));
      await rm(ours, { recursive: true });
    });

    test("scores of texts padded on the right and on the left", async () => {
      const want = await it.golden.readFloat32(`${kind}.logits`);
      for (const texts of [it.facts.batches[0], it.facts.paddedLeft]) {
        const batch = taughtTexts(texts, kind);
        const program = await LossProgram.compile(nodeEngine, { ...task, maxTokens: MAX_TOKENS }, await it.compile());
        const { outputs } = await program.predict(batch, task.vector);
        await program.release();
        // Labelled tokens stand in the order of the texts, wherever the padding is.
        expect(relativeError(outputs, want)).toBeLessThan(TOLERANCE);
      }
    });

    test.each([
      ["whole", { maxTokens: MAX_TOKENS }],
      ["queries in 4 chunks", { maxTokens: 512 }],
      ["blocks computed again", { maxTokens: MAX_TOKENS, gradientCheckpointing: true }],
    ])("the loss and the gradient of every A, every B and the head, %s", async (_parts, sizes) => {
      const program = await GradientProgram.compile(nodeEngine, { ...task, ...sizes }, await it.compile());
      const gradient = new Float32Array(task.layout.length);
      const { loss } = await program.run(taughtTexts(it.facts.batches[0], kind), task.vector, gradient);
      await program.release();
      expect(Math.abs(loss / task.facts.sum - 1)).toBeLessThan(1e-5);
      const names = [...it.golden.tensors.keys()].filter((key) => key.startsWith(`${kind}.gradient/`));
      expect(names).toHaveLength(task.layout.entries.size);
      expect(await tensorsUnlike({ layout: task.layout, golden: it.golden }, gradient, `${kind}.gradient/`, TOLERANCE)).toEqual([]);
    });

    test("ten steps of AdamW with the head: the losses, the norms of the gradients, and adapter and head at the end", async () => {
      const { trajectory } = task.facts;
      const batches = it.facts.batches.map((texts) => taughtTexts(texts, kind));
      const program = await GradientProgram.compile(nodeEngine, { ...task, maxTokens: MAX_TOKENS }, await it.compile());
      const taken = await repeatTrajectory(program, trajectory, batches, task.vector);
      await program.release();
      expect(taken.loss).toHaveLength(10);
      expect(relativeError(taken.loss, trajectory.loss)).toBeLessThan(TOLERANCE);
      expect(relativeError(taken.gradientNorm, trajectory.gradientNorm)).toBeLessThan(TOLERANCE);
      expect(await tensorsUnlike({ layout: task.layout, golden: it.golden }, taken.trainables, `${kind}.final/`, TOLERANCE)).toEqual([]);
    });
  });
});
