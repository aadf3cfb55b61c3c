import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { adapterFromVectors, configOf, vectorFromAdapter } from "../../src/lora/adapter.js";
import { fromBareModel, poolerOf, toBareModel } from "../../src/lora/bare-model.js";
import { buildLayout, viewOf } from "../../src/lora/layout.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { adaptGroups } from "../../src/lora/spec.js";
import { variantOf } from "../../src/lora/variants/index.js";
import { readModel } from "../../src/models/index.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { embeddingPairs } from "../../src/training/objectives/embedding-pairs.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { compileOptions } from "../../src/workflows/node/model-weights.js";
import { relativeError } from "../support/compare.js";
import { golden, goldenPath } from "../support/golden.js";
import { repeatTrajectory, type Trajectory } from "../support/trajectory.js";

// Pairs with in-batch negatives on the bare BERT with PEFT's adapter, against sentence-transformers.

const TOLERANCE = 1e-4;

interface Pairs {
  readonly anchors: readonly number[][];
  readonly positives: readonly number[][];
}

interface Facts {
  readonly batches: readonly Pairs[];
  /** An anchor with two positives, and two anchors with one: none of these is a wrong one. */
  readonly repeated: Pairs & { readonly sum: number };
  readonly sum: number;
  readonly trajectory: Trajectory;
}

const batchOf = ({ anchors, positives }: Pairs) =>
  buildBatch(
    anchors.map((ids, index) => ({
      ids: Int32Array.from(ids),
      places: Int32Array.of(0),
      targets: Int32Array.of(0),
      weights: Float32Array.of(1),
      partner: { ids: Int32Array.from(positives[index]!), place: 0 },
    })),
  );

test("the loss, every gradient and ten steps of AdamW are those of sentence-transformers and PEFT, and the adapter has the bare model's names", async () => {
  const facts = golden<Facts>("bert-pairs/golden.json");
  const tensors = await openSafetensorsFile(goldenPath("bert-pairs/golden.safetensors"));
  const model = { ...readModel(golden<Record<string, unknown>>("bert/config.json")), head: undefined };
  const mapped = await mapWeights(modelCheckpoint(await openSafetensorsFolder(goldenPath("bert")), model), {
    cacheFolder: join(tmpdir(), "lorikeet-tests"),
  });
  const stored = await readAdapterFolder(goldenPath("bert/embedding-adapter"));
  const adapter = fromBareModel(stored, model);
  const kept = stored.layers.map(({ name }) => name).filter((name) => !name.includes("pooler"));
  expect(toBareModel(adapter, model).layers.map(({ name }) => name)).toEqual(kept);
  const { layout, vector } = vectorFromAdapter(adapter, model);
  const options = { model, objective: embeddingPairs("mean"), layout, maxTokens: 128 };
  const program = await GradientProgram.compile(nodeEngine, options, compileOptions(mapped, { target: "cpu", threads: 1 }));
  const batches = facts.batches.map(batchOf);
  const unlike = async (values: Float32Array, prefix: string) => {
    const found: string[] = [];
    for (const [name, entry] of layout.entries) {
      const want = await tensors.readFloat32(`${prefix}base_model.model.${name.replace(/^bert\./, "")}`);
      const error = relativeError(viewOf(values, entry), want);
      if (!(error <= TOLERANCE)) found.push(`${name}: ${error}`);
    }
    return found;
  };
  const gradient = new Float32Array(layout.length);
  const { loss, count } = await program.run(batches[0]!, vector, gradient);
  expect(count).toBe(3);
  expect(Math.abs(loss / facts.sum - 1)).toBeLessThan(TOLERANCE);
  expect(await unlike(gradient, "gradient/")).toEqual([]);
  const repeated = await program.run(batchOf(facts.repeated), vector, new Float32Array(layout.length));
  expect(Math.abs(repeated.loss / facts.repeated.sum - 1)).toBeLessThan(TOLERANCE);
  const taken = await repeatTrajectory(program, facts.trajectory, batches, vector);
  await program.release();
  expect(relativeError(taken.loss, facts.trajectory.loss)).toBeLessThan(TOLERANCE);
  expect(relativeError(taken.gradientNorm, facts.trajectory.gradientNorm)).toBeLessThan(TOLERANCE);
  expect(await unlike(taken.trainables, "final/")).toEqual([]);
});

test("the folder of a new adapter is read again: its configuration names the layers as the bare model does, without the pooler", async () => {
  const model = readModel(golden<Record<string, unknown>>("bert/config.json"));
  const layers = [...model.linearGroups.flat(), ...(model.otherLayers ?? []), ...poolerOf(model)];
  for (const [chosen, rankPattern, targets] of [
    [{ kind: "all-linear" }, { "bert.encoder.layer.1.output.dense": 3 }, undefined],
    [{ kind: "names", names: ["query", "value"] }, { query: 3 }, ["query", "value"]],
  ] as const) {
    const spec = { rank: 2, alpha: 4, dropout: 0, layers: chosen, initialisation: "gaussian", rankPattern } as const;
    const layout = buildLayout(adaptGroups(model.linearGroups, spec), [], variantOf("lora"));
    const config = configOf(spec, layout, layers, "bert", { taskType: "FEATURE_EXTRACTION", trainedModules: [] });
    const vectors = { trainables: new Float32Array(layout.length).fill(0.5), frozen: new Float32Array() };
    const folder = await mkdtemp(join(tmpdir(), "lorikeet-pairs-"));
    const saved = toBareModel(adapterFromVectors(config, layout, vectors), model);
    await writeAdapterFolder(folder, saved);
    const read = await readAdapterFolder(folder);
    await rm(folder, { recursive: true });
    expect(read.layers.map(({ name }) => name).sort()).toEqual(saved.layers.map(({ name }) => name).sort());
    const names = read.layers.map(({ name }) => name);
    const { target_modules: theirs } = golden<{ readonly target_modules: readonly string[] }>("bert/embedding-adapter/adapter_config.json");
    expect([...read.config.targetModules].sort()).toEqual([...(targets ?? theirs.filter((name) => names.includes(name)))].sort());
    if (targets === undefined) expect(read.config.rankPattern).toEqual({ "encoder.layer.1.output.dense": 3 });
  }
});
