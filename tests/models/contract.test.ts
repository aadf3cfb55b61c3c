import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Batch } from "../../src/data/batch.js";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { mergeCheckpoint } from "../../src/lora/node/merge-checkpoint.js";
import { AdapterRows } from "../../src/lora/serving/adapter-rows.js";
import { servedAdapter } from "../../src/lora/serving/served-adapter.js";
import { sitesOf } from "../../src/lora/serving/sites.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { compileOptions } from "../../src/workflows/node/model-weights.js";
import { type ArchitectureGolden, loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { savedAdapter } from "../support/saved-adapter.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf } from "../support/tiny-model.js";
import { repeatTrajectory, tensorsUnlike } from "../support/trajectory.js";
import { architectures } from "./architectures.js";

// What every architecture keeps, on a tiny model of it, against what transformers and PEFT made of that model. Its precisions are in
// contract-precision.test.ts, its WebGPU lowering in contract-webgpu.test.ts.

/** transformers and PEFT in fp32 lie within 3e-6 of fp64; what the library promises is 1e-4. */
const TOLERANCE = 1e-4;
const MAX_TOKENS = 64;

describe.each(architectures)("%s", (name) => {
  let it: ArchitectureGolden;
  beforeAll(async () => {
    it = await loadArchitecture(name);
  });

  test("the model lists every weight that its checkpoint holds, in the shape it has there", () => {
    const shapes = [...it.checkpoint.tensors.values()].map((tensor) => [tensor.name, tensor.shape] as const);
    expect(Object.fromEntries(listedWeights(it))).toEqual(Object.fromEntries(shapes));
  });

  test("an adapter on all linear layers has PEFT's layers; what is written has PEFT's fields, names, shapes and values", async () => {
    const layers = it.model.linearGroups.flat().map((layer) => layer.name);
    expect(it.layout.groups.flatMap((group) => group.layers.map((layer) => layer.name))).toEqual(layers);
    const [theirs, ours] = [join(it.folder, "adapter"), await mkdtemp(join(tmpdir(), "lorikeet-contract-"))];
    await writeAdapterFolder(ours, await readAdapterFolder(theirs));
    expect(await savedAdapter(ours)).toEqual(await savedAdapter(theirs));
    await rm(ours, { recursive: true });
  });

  // Proves peft-adapter in: PEFT's logits, its gradients by name and ten steps, for every decoder
  // Proves folder in: transformers' logits, for every decoder
  test.each(["base", "adapted"] as const)("logits of the %s model, sequences padded on the right and on the left", async (kind) => {
    const want = realRows(await it.golden.readFloat32(`${kind}.logits`), batchOf(it.facts.batches[0]));
    const adapter = kind === "base" ? undefined : it;
    for (const padded of [it.facts.batches[0], it.facts.paddedLeft]) {
      const batch = batchOf(padded);
      const logits = await sequenceLogits(it.model, batch, await it.compile(), adapter);
      expect(relativeError(realRows(logits, batch), want)).toBeLessThan(TOLERANCE);
    }
  });

  test("merged, the weights have the names and shapes of the checkpoint's file, and give the adapted model's logits", async () => {
    const scratch = await mkdtemp(join(tmpdir(), "lorikeet-contract-"));
    const { model, checkpoint, folder } = it;
    const adapter = await readAdapterFolder(join(folder, "adapter"));
    await mergeCheckpoint({ checkpoint, model, adapter, modelName: name, companions: [], out: join(scratch, "merged") });
    const merged = await openSafetensorsFolder(join(scratch, "merged"));
    const shapes = ({ tensors }: Checkpoint) => Object.fromEntries([...tensors].map(([tensor, { shape }]) => [tensor, shape]));
    expect(shapes(merged)).toEqual(shapes(await openSafetensorsFolder(folder)));
    const mapped = await mapWeights(modelCheckpoint(merged, model), { cacheFolder: scratch });
    const batch = batchOf(it.facts.batches[0]);
    const logits = await sequenceLogits(model, batch, compileOptions(mapped, { target: "cpu", threads: 1 }));
    const want = await it.golden.readFloat32("adapted.logits");
    expect(relativeError(realRows(logits, batch), realRows(want, batch))).toBeLessThan(TOLERANCE);
    await rm(scratch, { recursive: true });
  });

  test.each([
    ["whole", { maxTokens: MAX_TOKENS }],
    ["queries and learned tokens in 4 chunks", { maxTokens: 512, maxSupervised: 1024 }],
    ["blocks computed again", { maxTokens: MAX_TOKENS, gradientCheckpointing: true }],
  ])("the loss and the gradient of every A and B, %s", async (_parts, sizes) => {
    const program = await GradientProgram.compile(nodeEngine, { ...it, ...sizes }, await it.compile());
    const gradient = new Float32Array(it.layout.length);
    const { loss, count } = await program.run(batchOf(it.facts.batches[0]), it.adapter, gradient);
    await program.release();
    expect(count).toBe(it.facts.adapted.count);
    expect(Math.abs(loss / it.facts.adapted.sum - 1)).toBeLessThan(1e-5);
    expect([...it.golden.tensors.keys()].filter((key) => key.startsWith("adapted.gradient/"))).toHaveLength(it.layout.entries.size);
    expect(await tensorsUnlike(it, gradient, "adapted.gradient/", TOLERANCE)).toEqual([]);
  });

  test("ten steps of AdamW: the losses, the norms of the gradients and the adapter at the end", async () => {
    const { trajectory, batches } = it.facts;
    const program = await GradientProgram.compile(nodeEngine, { ...it, maxTokens: MAX_TOKENS }, await it.compile());
    const taken = await repeatTrajectory(program, trajectory, batches.map(batchOf), it.adapter);
    await program.release();
    expect(taken.loss).toHaveLength(10);
    expect(relativeError(taken.loss, trajectory.loss)).toBeLessThan(TOLERANCE);
    expect(relativeError(taken.gradientNorm, trajectory.gradientNorm)).toBeLessThan(TOLERANCE);
    expect(await tensorsUnlike(it, taken.trainables, "trajectory.final/", TOLERANCE)).toEqual([]);
  });

  describe("cached decoding", () => {
    let program: GenerationProgram;
    beforeAll(async () => {
      program = await GenerationProgram.compile(
        nodeEngine,
        { model: it.model, adapter: { layout: it.layout, vector: it.adapter }, maxPositions: MAX_TOKENS },
        await it.compile(),
      );
    });
    afterAll(() => program.release());

    // Pieces of several tokens after a cache, single tokens, and a beginning longer than any window.
    test.each([[[1, 2, 3, 7, 8]], [[9, 12]], [Array.from({ length: 16 }, (_, t) => t)]])(
      "in pieces that end at %j gives the logits of whole texts",
      async (cuts) => {
        const { input_ids, attention_mask } = it.facts.batches[0];
        const want = await it.golden.readFloat32("adapted.logits"); // [B, T, V]
        const texts = input_ids.map((ids, b) => ids.filter((_, t) => attention_mask[b]?.[t] === 1));
        const cache = program.cache(texts.length, 1);
        const width = program.vocabulary;
        for (const [index, to] of [...cuts, 16].entries()) {
          const pieces = texts.map((ids) => ids.slice(index === 0 ? 0 : cuts[index - 1], to));
          if (pieces.every((piece) => piece.length === 0)) continue;
          const logits = await program.step(cache, pieces); // [B, V]
          for (const [b, piece] of pieces.entries()) {
            if (piece.length === 0 || cache.length(b) <= (it.model.dimensions.shortContext ?? 0)) continue; // phi3.test.ts
            const at = (b * (input_ids[0]?.length ?? 0) + cache.length(b) - 1) * width;
            expect(relativeError(logits.subarray(b * width, (b + 1) * width), want.subarray(at, at + width))).toBeLessThan(TOLERANCE);
          }
        }
      },
    );
  });

  test("a row with the adapter beside one without it has PEFT's logits, and the other transformers'", async () => {
    const { linearGroups } = it.model;
    const adapter = servedAdapter({ layout: it.layout, vector: it.adapter }, linearGroups);
    const sites = sitesOf([adapter], linearGroups);
    const program = await GenerationProgram.compile(nodeEngine, { model: it.model, sites, maxPositions: MAX_TOKENS }, await it.compile());
    const [ids = []] = it.facts.batches[0].input_ids; // the longest: no padding
    const [adapted, base] = [await it.golden.readFloat32("adapted.logits"), await it.golden.readFloat32("base.logits")];
    const cache = program.cache(3, 1);
    const rows = new AdapterRows(sites, [undefined, adapter, undefined]);
    const width = program.vocabulary;
    for (const [from, to] of [
      [0, 10],
      [10, 15],
      [15, 16],
    ] as const) {
      const logits = await program.step(cache, Array(3).fill(ids.slice(from, to)), rows);
      for (const [row, want] of [base, adapted, base].entries()) {
        const got = logits.subarray(row * width, (row + 1) * width);
        expect(relativeError(got, want.subarray((to - 1) * width, to * width)), `row ${row} at ${to}`).toBeLessThan(TOLERANCE);
      }
    }
    await program.release();
  });
});

/** The weights that a model asks for; a checkpoint leaves a head out that is the embedding table. */
const listedWeights = ({ model }: ArchitectureGolden) => [...model.weights].map(([weight, shape]) => [weight, [...shape]] as const);

/** Rows [N, V] of the tokens that are no padding. */
function realRows(logits: Float32Array, { segments }: Batch): number[] {
  const width = logits.length / segments.length;
  return [...segments.keys()].filter((row) => segments[row] === 1).flatMap((row) => [...logits.subarray(row * width, (row + 1) * width)]);
}
