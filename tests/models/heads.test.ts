import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Batch, buildBatch } from "../../src/data/batch.js";
import { vectorFromAdapter } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import type { AdapterLayout } from "../../src/lora/layout.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import type { ModelGraph } from "../../src/models/architecture.js";
import { readModel } from "../../src/models/index.js";
import { labelledModel } from "../../src/models/labelled-model.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import type { CompileOptions } from "../../src/runtime/program.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { LossProgram } from "../../src/training/loss-program.js";
import type { Objective } from "../../src/training/objectives/objective.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import type { LabelTaskName } from "../../src/workflows/node/label-data.js";
import { graphTask, labelObjective } from "../../src/workflows/node/label-head.js";
import { compileOptions } from "../../src/workflows/node/model-weights.js";
import { relativeError } from "../support/compare.js";
import type { EncoderBatch } from "../support/encoder.js";
import { golden, goldenPath } from "../support/golden.js";
import { labelledBatch, labelledExamples, type Told } from "../support/labelled-batch.js";
import { savedAdapter } from "../support/saved-adapter.js";
import { repeatTrajectory, type Trajectory, tensorsUnlike } from "../support/trajectory.js";
import { encoders } from "./architectures.js";

// Heads behind decoders and encoders, with an adapter beside the model, against what transformers and PEFT made of them.

/** transformers and PEFT in fp32 lie within 3e-6 of fp64; what the library promises is 1e-4. */
const TOLERANCE = 1e-4;
const MAX_TOKENS = 64;
const LABELS = 3;

interface Facts {
  readonly batches: readonly EncoderBatch[];
  readonly values?: readonly (readonly number[])[];
  readonly classWeights?: readonly number[];
  readonly [kind: string]: unknown;
}

interface KindFacts {
  readonly sum: number;
  readonly trajectory: Trajectory;
}

/** A model with the head and the adapter of a golden. */
interface Case {
  readonly model: ModelGraph;
  readonly objective: Objective;
  readonly layout: AdapterLayout;
  readonly vector: Float32Array;
  readonly compile: CompileOptions;
  readonly golden: Checkpoint;
  readonly facts: KindFacts;
  readonly texts: readonly EncoderBatch[];
  readonly told: readonly Told[];
  readonly adapter: string;
}

const cases = [
  ["tiny-llama", "tiny-llama-heads", "sequence", "classification"],
  ["tiny-llama", "tiny-llama-heads", "token", "token-classification"],
  ["tiny-llama", "tiny-llama-heads", "value", "regression"],
] as const;

/** Those of encoders; encoder-contract.test.ts compares the rest of them. */
const encoderCases = encoders.flatMap((name) => [
  [name, "sequence", "classification"] as const,
  [name, "token", "token-classification"] as const,
]);

describe.each(cases)("%s, %s: %s", (base, folder, kind, task) => {
  let it: Case;
  beforeAll(async () => {
    it = await load(base, folder, kind, task);
  });

  test("its folder is read and written as PEFT wrote it, head included", async () => {
    const ours = await mkdtemp(join(tmpdir(), "lorikeet-heads-"));
    await writeAdapterFolder(ours, await readAdapterFolder(it.adapter));
    expect(await savedAdapter(ours)).toEqual(await savedAdapter(it.adapter));
    await rm(ours, { recursive: true });
  });

  test("logits and the loss", async () => {
    const program = await LossProgram.compile(nodeEngine, { ...it, maxTokens: MAX_TOKENS }, it.compile);
    const batch = batchOf(it, 0);
    const { losses, outputs } = await program.predict(batch, it.vector);
    await program.release();
    expect(relativeError(outputs, await it.golden.readFloat32(`${kind}.logits`))).toBeLessThan(TOLERANCE);
    const sum = losses.reduce((total, loss, place) => total + loss * batch.weights[place]!, 0);
    expect(Math.abs(sum / it.facts.sum - 1)).toBeLessThan(TOLERANCE);
  });

  test.each([
    ["whole", {}],
    ["queries in 4 chunks", { maxTokens: 512 }],
    ["blocks computed again", { gradientCheckpointing: true }],
  ] as const)("the gradients of the adapter and of the head, %s", async (_how, sizes) => {
    expect(await gradientsUnlike(it, kind, batchOf(it, 0), sizes)).toEqual([]);
  });

  test("the gradients of several examples in a row", async () => {
    expect(await gradientsUnlike(it, kind, packed(it), {})).toEqual([]);
  });

  test("ten steps of AdamW", async () => {
    const { trajectory } = it.facts;
    const batches = it.texts.map((_, index) => batchOf(it, index));
    const program = await GradientProgram.compile(nodeEngine, { ...it, maxTokens: MAX_TOKENS }, it.compile);
    const taken = await repeatTrajectory(program, trajectory, batches, it.vector);
    await program.release();
    expect(taken.loss).toHaveLength(10);
    expect(relativeError(taken.loss, trajectory.loss)).toBeLessThan(TOLERANCE);
    expect(relativeError(taken.gradientNorm, trajectory.gradientNorm)).toBeLessThan(TOLERANCE);
    expect(await tensorsUnlike(it, taken.trainables, `${kind}.final/`, TOLERANCE)).toEqual([]);
  });
});

describe.each(encoderCases)("%s, %s", (name, kind, task) => {
  test("the gradients of several examples in a row are those of each alone", async () => {
    const it = await load(name, name, kind, task);
    expect(await gradientsUnlike(it, kind, packed(it), {})).toEqual([]);
  });
});

/** The loss, if it differs from PEFT's, and the tensors whose gradients do. */
async function gradientsUnlike(it: Case, kind: string, batch: Batch, sizes: { maxTokens?: number; gradientCheckpointing?: boolean }) {
  const program = await GradientProgram.compile(nodeEngine, { ...it, maxTokens: MAX_TOKENS, ...sizes }, it.compile);
  const gradient = new Float32Array(it.layout.length);
  const { loss } = await program.run(batch, it.vector, gradient);
  await program.release();
  expect([...it.golden.tensors.keys()].filter((key) => key.startsWith(`${kind}.gradient/`))).toHaveLength(it.layout.entries.size);
  expect(Math.abs(loss / it.facts.sum - 1)).toBeLessThan(TOLERANCE);
  return tensorsUnlike(it, gradient, `${kind}.gradient/`, TOLERANCE);
}

/** The examples of the first batch with a third that counts for nothing, so short that it shares a row with one of them. */
function packed({ texts, told }: Case): Batch {
  const examples = labelledExamples(texts[0]!, told[0]!);
  const [first] = examples;
  const silent = {
    ...first!,
    ids: first!.ids.slice(0, 3),
    places: Int32Array.of(1),
    targets: first!.targets.slice(0, 1),
    weights: Float32Array.of(0),
  };
  const { tokenTypes, ...plain } = silent;
  const batch = buildBatch([...examples, { ...plain, ...(tokenTypes === undefined ? {} : { tokenTypes: tokenTypes.slice(0, 3) }) }]);
  expect(batch.batch).toBeLessThan(3);
  return batch;
}

const batchOf = ({ texts, told }: Case, index: number): Batch => labelledBatch(texts[index]!, told[index]!);

async function load(base: string, folder: string, kind: string, task: LabelTaskName): Promise<Case> {
  const facts = golden<Facts>(`${folder}/golden.json`);
  const bare = readModel(golden<Record<string, unknown>>(`${base}/config.json`));
  const model = labelledModel(bare, graphTask(task));
  const checkpoint = modelCheckpoint(await openSafetensorsFolder(goldenPath(base)), model);
  const head = model.classificationHead(graphTask(task), task === "regression" ? 1 : LABELS);
  const adapter = goldenPath(`${folder}/${kind}-adapter`);
  const read = await readAdapterFolder(adapter);
  checkFit(read, model.linearGroups.flat(), base, { head: head.parameters });
  const { layout, vector } = vectorFromAdapter(read, model);
  const mapped = await mapWeights(checkpoint, { cacheFolder: join(tmpdir(), "lorikeet-tests") });
  return {
    model,
    objective: labelObjective(task, head),
    layout,
    vector,
    compile: compileOptions(mapped, { target: "cpu", threads: 1 }),
    golden: await openSafetensorsFile(goldenPath(`${folder}/golden.safetensors`)),
    facts: facts[kind] as KindFacts,
    texts: facts.batches,
    told: facts.batches.map((_, index) => ({
      head,
      ...(task === "regression" ? { values: facts.values![index]! } : {}),
      ...(task === "classification" && facts.classWeights !== undefined ? { classWeights: facts.classWeights } : {}),
    })),
    adapter,
  };
}
