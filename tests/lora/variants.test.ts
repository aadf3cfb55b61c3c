import { mkdtempSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import type { Graph, Tensor } from "../../src/graph/graph.js";
import { adapterFromVectors, configOf } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import { inferenceAdapter } from "../../src/lora/inference.js";
import { initialiseAdapter } from "../../src/lora/initialise.js";
import { product } from "../../src/lora/kernels/products.js";
import { type AdapterLayout, buildLayout, viewOf, type WholeTensor } from "../../src/lora/layout.js";
import { rateSpans } from "../../src/lora/learning-rates.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { companionsOfFolder, mergeCheckpoint } from "../../src/lora/node/merge-checkpoint.js";
import { shapingOf } from "../../src/lora/shaping.js";
import { type AdapterSpec, adaptGroups, layOutAdapter } from "../../src/lora/spec.js";
import { adaptableGroups, runnableLayers } from "../../src/lora/tables.js";
import { targetTest } from "../../src/lora/target-modules.js";
import { startOfWhole } from "../../src/lora/trained-tokens.js";
import { variantOf } from "../../src/lora/variants/index.js";
import type { DataStart } from "../../src/lora/variants/variant.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { readLanguageModel } from "../../src/models/index.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import { mul } from "../../src/ops/mul.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import type { CompileOptions } from "../../src/runtime/program.js";
import { lookedAt, startFromData } from "../../src/training/data-start.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { weightsOf } from "../../src/workflows/node/applied-adapter.js";
import { compileOptions } from "../../src/workflows/node/model-weights.js";
import { type ArchitectureGolden, loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { compiled } from "../support/compiled.js";
import { golden, goldenPath } from "../support/golden.js";
import { savedAdapter } from "../support/saved-adapter.js";
import { sequenceLogits } from "../support/sequence-logits.js";
import { batchOf, examplesOf } from "../support/tiny-model.js";
import { repeatTrajectory, tensorsUnlike } from "../support/trajectory.js";

// What every variant keeps, against what PEFT made of it on a tiny Qwen 2 (tests/golden/variants.py).

const TOLERANCE = 1e-4;
const MAX_TOKENS = 64;
const PREFIX = "base_model.model.";

const patterns = {
  exclude: { kind: "names", names: ["o_proj"] },
  rankPattern: { q_proj: 4, "layers\\.0\\.mlp\\.down_proj": 1 },
  alphaPattern: { q_proj: 3 },
} as const;

const attention = { kind: "names", names: ["q_proj", "k_proj", "v_proj", "o_proj"] } as const;

/** A line for each folder of tests/golden/variants: what is asked for. PEFT's folder of a variant that changes W is in `raw`, unconverted. */
const cases: Readonly<Record<string, Partial<AdapterSpec> & { readonly ratio?: number; readonly raw?: true; readonly prunes?: true }>> = {
  rslora: { rankStabilised: true },
  "lora-plus": { ratio: 8 },
  patterns,
  "pissa-patterns": { method: "pissa", raw: true, ...patterns },
  "lora-fa": { method: "lora-fa" },
  dora: { method: "dora" },
  "dora-rslora": { method: "dora", rankStabilised: true },
  pissa: { method: "pissa", raw: true },
  olora: { method: "olora", rankStabilised: true, raw: true },
  vera: { method: "vera", rank: 6, settings: { seed: 2 ** 32 + 7 } },
  "vera-plus": { method: "vera", rank: 3, layers: { kind: "names", names: ["k_proj", "down_proj"] }, settings: { seed: 0 }, ratio: 8 },
  adalora: {
    method: "adalora",
    rank: 4,
    settings: { budget: { targetRank: 2, orthogonality: 0.3, steps: { initial: 2, final: 3, every: 2, total: 10 } } },
    prunes: true,
  },
  eva: { method: "eva" },
  bias: { bias: "all", layers: { kind: "names", names: ["q_proj", "up_proj"] } },
  "bias-lora-only": { bias: "lora_only", layers: { kind: "names", names: ["q_proj", "up_proj"] }, ratio: 8 },
  "lora-bias": { method: "lora-bias", rankStabilised: true, layers: { kind: "names", names: ["q_proj", "k_proj", "v_proj"] } },
  modules: { modules: ["lm_head", "model.norm", "layers.0.mlp.up_proj"], layers: attention },
  "modules-table": { modules: ["embed_tokens"], layers: attention },
  embedding: { rankStabilised: true, layers: { kind: "names", names: ["q_proj", "embed_tokens"] } },
  head: { layers: { kind: "names", names: ["v_proj", "lm_head"] }, ratio: 8 },
  "embedding-head": { layers: { kind: "names", names: ["embed_tokens", "lm_head", "down_proj"] }, rankPattern: { lm_head: 3 } },
  tokens: { tokens: [17, 3, 5], layers: { kind: "names", names: ["q_proj", "v_proj"] } },
  "modules-tied": { modules: ["lm_head"], tiesWeights: true, layers: attention },
  "eva-rslora": { method: "eva", rankStabilised: true, rankPattern: { q_proj: 4, o_proj: 1 }, settings: { rho: 1.5 } },
};

interface VariantFacts {
  /** Ranks by layer, of a variant that starts from the user's data. */
  readonly ranks?: Readonly<Record<string, number>>;
  readonly sum: number;
  readonly count: number;
  readonly steps: { readonly loss: readonly number[]; readonly gradientNorm: readonly number[]; readonly penalty?: readonly number[] };
}

let model: ArchitectureGolden;
let base: Float32Array;
let compile: CompileOptions;
const cache = mkdtempSync(join(tmpdir(), "lorikeet-variants-"));
afterAll(() => rm(cache, { recursive: true }));
beforeAll(async () => {
  process.env.LORIKEET_CACHE = cache;
  model = await loadArchitecture("qwen2");
  base = await model.golden.readFloat32("base.logits");
  compile = await model.compile();
});

// Proves peft-adapter in: PEFT's logits, gradients by name and ten steps, for every variant of LoRA
describe.each(Object.entries(cases))("%s", (name, { ratio = 1, raw, prunes, ...asked }) => {
  const whole: AdapterSpec = { rank: 2, alpha: 6, dropout: 0, layers: { kind: "all-linear" }, initialisation: "peft", ...asked };
  const variant = variantOf(whole.method ?? "lora");
  let spec = whole;
  const folder = goldenPath(`variants/${name}`);
  const facts = golden<VariantFacts>(`variants/${name}/golden.json`);
  let layout: AdapterLayout;
  let tensors: Checkpoint;
  let started: Awaited<ReturnType<typeof initialiseAdapter>>;
  /** PEFT's values away from the start. */
  let trainables: Float32Array;
  let options: Pick<Parameters<typeof GradientProgram.compile>[1], "layout" | "frozen">;
  beforeAll(async () => {
    tensors = await openSafetensorsFile(join(folder, "golden.safetensors"));
    const shown = variant.dataStart && (await lookAt(spec, variant.dataStart));
    spec = shown?.spec ?? whole;
    layout = layOutAdapter(model.model, spec);
    const start = {
      initialisation: "peft",
      rounds: 0,
      seed: 1,
      weightOf: weightsOf(model),
      inputsOf: shown?.inputsOf,
      settings: spec.settings,
      wholeOf: (tensor: WholeTensor) => startOfWhole(model, tensor),
    } as const;
    started = await initialiseAdapter(layout, start);
    expect(shown && Object.fromEntries(shown.ranks)).toEqual(facts.ranks);
    trainables = new Float32Array(layout.length);
    for (const [key, entry] of layout.entries) viewOf(trainables, entry).set(await tensors.readFloat32(`initial/${PREFIX}${key}`));
    for (const { parameters } of layout.groups.flatMap(({ layers }) => layers)) {
      for (const place of parameters.values()) {
        const key = `frozen/${PREFIX}${place.name}`;
        if (!place.isTrained && tensors.tensors.has(key)) viewOf(started.frozen, place).set(await tensors.readFloat32(key));
      }
    }
    options = { layout, frozen: started.frozen };
  });
  /** The logits of real tokens with an adapter's values. */
  const logitsWith = (vector: Float32Array) => maskedLogits(compile, { ...options, adapter: vector });
  const unlike = (vector: Float32Array, values: string) => tensorsUnlike({ layout, golden: tensors }, vector, `${values}/`, TOLERANCE);

  test("has PEFT's trained tensors, and starts with PEFT's values where they are not random", async () => {
    const theirs = [...tensors.tensors.keys()].filter((key) => key.startsWith("initial/"));
    expect([...layout.entries.keys()].map((key) => `initial/${PREFIX}${key}`).sort()).toEqual(theirs.sort());
    for (const key of [...tensors.tensors.keys()].filter((key) => key.startsWith("start/"))) {
      const entry = layout.entries.get(key.slice(`start/${PREFIX}`.length));
      const [ours, want] = [viewOf(started.trainables, entry!), await tensors.readFloat32(key)];
      // The sign of a singular vector is free; that of A's row and B's column is the same.
      const isA = key.endsWith("lora_A.weight");
      const part = (index: number) => (isA ? Math.floor(index / (entry!.shape[1] ?? 1)) : index % (entry!.shape[1] ?? 1));
      const signs = new Map<number, number>();
      for (const [index, value] of want.entries()) {
        const sum = signs.get(part(index)) ?? 0;
        signs.set(part(index), sum + value * ours[index]!);
      }
      const turned = spec.method === "pissa" ? ours.map((value, index) => value * Math.sign(signs.get(part(index))!)) : ours;
      expect(relativeError(turned, want), key).toBeLessThan(TOLERANCE);
    }
  });

  test("changes nothing before it is trained", async () => {
    expect(relativeError(await logitsWith(started.trainables), base)).toBeLessThan(1e-5);
  });

  test("gives PEFT's logits, loss and gradients by name", async () => {
    expect(relativeError(await logitsWith(trainables), await tensors.readFloat32("logits"))).toBeLessThan(TOLERANCE);
    for (const gradientCheckpointing of [false, true]) {
      const sizes = { maxTokens: MAX_TOKENS, gradientCheckpointing };
      const program = await GradientProgram.compile(nodeEngine, { model: model.model, ...options, ...sizes }, compile);
      const gradient = new Float32Array(layout.length);
      const { loss, count } = await program.run(batchOf(model.facts.batches[0]), trainables, gradient);
      await program.release();
      expect(count).toBe(facts.count);
      expect(Math.abs(loss / facts.sum - 1)).toBeLessThan(1e-5);
      expect(await unlike(gradient, "gradient")).toEqual([]);
    }
  });

  // As of plain LoRA in tests/models/contract-precision.test.ts: an independent error of 14 % has a cosine of 0.99.
  test("is near PEFT's loss and gradient beside frozen layers in int8", async () => {
    const int8 = await compiled(model, { precision: "int8" });
    const program = await GradientProgram.compile(nodeEngine, { model: model.model, ...options, maxTokens: MAX_TOKENS }, int8);
    const gradient = new Float32Array(layout.length);
    const { loss } = await program.run(batchOf(model.facts.batches[0]), trainables, gradient);
    await program.release();
    const want = new Float32Array(layout.length);
    for (const [key, entry] of layout.entries) viewOf(want, entry).set(await tensors.readFloat32(`gradient/${PREFIX}${key}`));
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, at) => sum + value * b[at]!, 0);
    const cosine = dot(gradient, want) / Math.sqrt(dot(gradient, gradient) * dot(want, want));
    expect(Math.abs(loss / facts.sum - 1)).toBeLessThan(0.02);
    expect(cosine).toBeGreaterThan(0.99);
    expect(relativeError(gradient, want)).toBeGreaterThan(1e-3); // or it was not in int8
  });

  test("lets dropout spare the frozen layer, as PEFT does", async () => {
    const everySecond = (graph: Graph) => (x: Tensor) => {
      const columns = Number(x.shape.at(-1));
      return mul(
        x,
        graph.constant(
          Float32Array.from({ length: columns }, (_, column) => 2 * (column % 2)),
          [columns],
        ),
      );
    };
    const logits = await maskedLogits(compile, { ...options, adapter: trainables }, everySecond);
    expect(relativeError(logits, await tensors.readFloat32("dropped.logits"))).toBeLessThan(TOLERANCE);
  });

  test("takes PEFT's ten steps of AdamW", async () => {
    const program = await GradientProgram.compile(nodeEngine, { model: model.model, ...options, maxTokens: MAX_TOKENS }, compile);
    const wanted = { ...facts.steps, options: model.facts.trajectory.options };
    const taken = await repeatTrajectory(program, wanted, model.facts.batches.map(batchOf), trainables, {
      ...(ratio === 1 ? {} : { rates: rateSpans(layout, ratio) }),
      shaping: shapingOf(layout, spec.settings),
    });
    await program.release();
    expect(relativeError(taken.loss, facts.steps.loss)).toBeLessThan(TOLERANCE);
    expect(relativeError(taken.gradientNorm, facts.steps.gradientNorm)).toBeLessThan(TOLERANCE);
    expect(await unlike(taken.trainables, "final")).toEqual([]);
    if (prunes) {
      const penalty = shapingOf(layout, spec.settings)?.penalise(trainables, new Float32Array(layout.length));
      expect(penalty! / facts.steps.penalty![0]!).toBeCloseTo(1, 5);
      const { ours } = await expectFolder(taken.trainables, "pruned");
      await rm(ours, { recursive: true });
      expect(relativeError(await logitsWith(taken.trainables), await tensors.readFloat32("pruned.logits"))).toBeLessThan(TOLERANCE);
    }
  });

  /** The folder of these trainables, which must be as PEFT's; the caller removes it. */
  const expectFolder = async (vector: Float32Array, theirName: string) => {
    const ours = await mkdtemp(join(tmpdir(), "lorikeet-variant-"));
    const layers = adaptableGroups(model.model).flat();
    const config = configOf(spec, layout, layers, "qwen2");
    await writeAdapterFolder(ours, adapterFromVectors(config, layout, { trainables: vector, frozen: started.frozen }));
    const [written, theirs] = [await savedAdapter(ours), await savedAdapter(join(folder, theirName))];
    const meant = (config: Parameters<typeof targetTest>[0]) => layers.map(({ name }) => name).filter(targetTest(config));
    const [ourConfig, theirConfig] = [await readAdapterFolder(ours), await readAdapterFolder(join(folder, theirName))].map(
      ({ config }) => config,
    );
    expect(meant(ourConfig!)).toEqual(meant(theirConfig!));
    expect({ ...written.config, target_modules: [] }).toEqual({ ...theirs.config, target_modules: [] });
    const shapes = ({ tensors }: typeof written) => Object.fromEntries(tensors.map(({ name, shape }) => [name, shape]));
    expect(shapes(written)).toEqual(shapes(theirs));
    return { ours, written, theirs };
  };

  test("is written as PEFT writes it", async () => {
    const { ours, written, theirs } = await expectFolder(trainables, "adapter");
    const found = new Map(written.tensors.map(({ name, values }) => [name, values]));
    for (const { name, values } of spec.method === "pissa" ? [] : theirs.tensors) {
      expect(relativeError(found.get(name)!, values), name).toBeLessThan(1e-6);
    }
    // Whatever signs the start has, the written adapter is PEFT's model.
    expect(relativeError(await answersOf(ours), await tensors.readFloat32("logits"))).toBeLessThan(TOLERANCE);
    await rm(ours, { recursive: true });
  });

  test.each(raw ? ["adapter", "raw"] : prunes ? ["adapter", "pruned"] : ["adapter"])(
    "PEFT's folder %s answers from a cache, and merged, as it does in PEFT",
    async (saved) => {
      const want = await tensors.readFloat32(saved === "pruned" ? "pruned.logits" : "logits");
      expect(relativeError(await answersOf(join(folder, saved)), want)).toBeLessThan(TOLERANCE);
      const merged = saved === "pruned" ? want : await tensors.readFloat32("merged.logits");
      expect(relativeError(await mergedLogits(join(folder, saved)), merged)).toBeLessThan(TOLERANCE);
    },
  );
});

test("adapters of a table and its head that PEFT has tied are read, though it saves the frozen table beside them", async () => {
  const want = await (await openSafetensorsFile(goldenPath("variants/embedding-tied/golden.safetensors"))).readFloat32("logits");
  const folder = goldenPath("variants/embedding-tied/adapter");
  expect(relativeError(await answersOf(folder), want)).toBeLessThan(TOLERANCE);
  expect(relativeError(await mergedLogits(folder), want)).toBeLessThan(TOLERANCE);
});

/** Shows both batches to a variant that starts from data. */
const lookAt = (spec: AdapterSpec, dataStart: DataStart, rounds = 0) =>
  startFromData(
    nodeEngine,
    {
      model: model.model,
      spec,
      dataStart,
      batches: model.facts.batches.map((batch) => lookedAt(examplesOf(batch))),
      maxTokens: MAX_TOKENS,
      rounds,
      seed: 1,
      pause: async () => {},
    },
    compile,
  );

type ParametersBehind<F> = F extends (model: never, batch: never, compile: never, ...rest: infer R) => unknown ? R : never;

/** The logits [B, T, V] of the first batch through the program that trains; zero on padding. */
const maskedLogits = (weights: CompileOptions, ...adapted: ParametersBehind<typeof sequenceLogits>) =>
  maskedLogitsOf(model.model, weights, ...adapted);

async function maskedLogitsOf(
  read: LanguageModelGraph,
  weights: CompileOptions,
  ...adapted: ParametersBehind<typeof sequenceLogits>
): Promise<Float32Array> {
  const batch = batchOf(model.facts.batches[0]);
  const logits = await sequenceLogits(read, batch, weights, ...adapted);
  const width = logits.length / batch.segments.length;
  return logits.map((value, index) => value * batch.segments[Math.floor(index / width)]!);
}

describe("an approximate start of PiSSA", () => {
  const spec: AdapterSpec = { method: "pissa", rank: 2, alpha: 6, dropout: 0, layers: { kind: "all-linear" }, initialisation: "peft" };
  const startOf = async (rank: number, rounds: number) => {
    const layout = buildLayout(adaptGroups(model.model.linearGroups, { ...spec, rank }), [], variantOf("pissa"));
    return { layout, ...(await initialiseAdapter(layout, { initialisation: "peft", rounds, seed: 1, weightOf: weightsOf(model) })) };
  };

  test("comes to PEFT's exact one with its rounds, and repeats by its seed", async () => {
    const tensors = await openSafetensorsFile(goldenPath("variants/pissa/golden.safetensors"));
    const errorAfter = async (rounds: number) => {
      const { layout, trainables } = await startOf(2, rounds);
      const values = async (name: string) => {
        const entry = layout.entries.get(name)!;
        return { ours: viewOf(trainables, entry), theirs: await tensors.readFloat32(`start/${PREFIX}${name}`) };
      };
      const errors = layout.groups
        .flatMap(({ layers }) => layers)
        .map(async ({ name, inputs, outputs }) => {
          const [a, b] = [await values(`${name}.lora_A.weight`), await values(`${name}.lora_B.weight`)];
          return relativeError(product(b.ours, a.ours, outputs, 2, inputs), product(b.theirs, a.theirs, outputs, 2, inputs));
        });
      return Math.max(...(await Promise.all(errors)));
    };
    const [few, many] = [await errorAfter(1), await errorAfter(200)];
    expect(few).toBeGreaterThan(1e-3);
    expect(many).toBeLessThan(TOLERANCE);
    expect((await startOf(2, 1)).trainables).toEqual((await startOf(2, 1)).trainables);
  });

  test("is refused where a weight has not as many directions as the rank", async () => {
    await expect(startOf(17, 1)).rejects.toThrow(
      /k_proj is \[16, 32\]: an adapter that starts from its weight has at most rank 16, found 17/,
    );
  });
});

describe("an approximate start of EVA", () => {
  const spec: AdapterSpec = { method: "eva", rank: 2, alpha: 6, dropout: 0, layers: { kind: "all-linear" }, initialisation: "peft" };
  const { dataStart } = variantOf("eva");

  test("comes to PEFT's exact one with its rounds, and repeats by its seed", async () => {
    const tensors = await openSafetensorsFile(goldenPath("variants/eva/golden.safetensors"));
    const errorAfter = async (rounds: number) => {
      const { inputsOf } = await lookAt(spec, dataStart!, rounds);
      const errors = model.model.linearGroups.flat().map(async (layer) => {
        const theirs = await tensors.readFloat32(`start/${PREFIX}${layer.name}.lora_A.weight`);
        return relativeError(inputsOf(layer).directions.subarray(0, theirs.length), theirs);
      });
      return Math.max(...(await Promise.all(errors)));
    };
    expect(await errorAfter(1)).toBeGreaterThan(TOLERANCE);
    expect(await errorAfter(40)).toBeLessThan(TOLERANCE);
    expect(await errorAfter(1)).toBe(await errorAfter(1));
  });

  test("leaves out layers that explain nothing, and keeps the ranks of all together", async () => {
    const narrow = { ...spec, rank: 1, settings: { rho: 4 } };
    const { ranks, spec: given } = await lookAt(narrow, dataStart!);
    expect([...ranks.values()]).toContain(0);
    const layers = adaptGroups(model.model.linearGroups, given).flat();
    expect(layers.map(({ name }) => name)).toEqual(
      model.model.linearGroups.flat().flatMap(({ name }) => (ranks.get(name)! > 0 ? [name] : [])),
    );
    expect(layers.reduce((sum, { rank }) => sum + rank, 0)).toBe(14);
    expect(new Set(layers.map(({ scale }) => scale))).toEqual(new Set([6]));
  });

  test("is refused where less is learned than there are directions", async () => {
    await expect(lookAt({ ...spec, rank: 32, layers: { kind: "names", names: ["down_proj"] } }, dataStart!)).rejects.toThrow(
      /48 directions are asked for of what a layer reads, and the batches that are looked at have 47 learned tokens\. Raise --start-batches/,
    );
  });
});

/** The logits [B, T, V] of the first batch, token by token from a cache; zero on padding. */
async function answersOf(folder: string): Promise<Float32Array> {
  const saved = await readAdapterFolder(folder);
  checkFit(saved, runnableLayers(model.model, saved.config.method), "qwen2", { model: model.model });
  const adapter = await inferenceAdapter(saved, model.model, weightsOf(model));
  const program = await GenerationProgram.compile(nodeEngine, { model: model.model, adapter, maxPositions: MAX_TOKENS }, compile);
  const { input_ids, attention_mask } = model.facts.batches[0];
  const [tokens, width] = [input_ids[0]!.length, program.vocabulary];
  const all = new Float32Array(input_ids.length * tokens * width);
  const cache = program.cache(input_ids.length, tokens);
  for (let t = 0; t < tokens; t++) {
    const logits = await program.step(
      cache,
      input_ids.map((ids, b) => (attention_mask[b]?.[t] === 1 ? ids.slice(t, t + 1) : [])),
    );
    for (const [b, mask] of attention_mask.entries()) {
      if (mask[t] === 1) all.set(logits.subarray(b * width, (b + 1) * width), (b * tokens + t) * width);
    }
  }
  await program.release();
  return all;
}

/** The logits of the model that `merge` writes. */
async function mergedLogits(folder: string): Promise<Float32Array> {
  const out = join(cache, `merged-${folder.replace(/\W+/g, "-")}`);
  const parts = { checkpoint: model.checkpoint, model: model.model, companions: await companionsOfFolder(model.folder) };
  await mergeCheckpoint({ ...parts, adapter: await readAdapterFolder(folder), out, modelName: "qwen2" });
  const merged = readLanguageModel(JSON.parse(await readFile(join(out, "config.json"), "utf8")));
  const mapped = await mapWeights(modelCheckpoint(await openSafetensorsFolder(out), merged), { cacheFolder: cache });
  return maskedLogitsOf(merged, compileOptions(mapped, { target: "cpu", threads: 1 }));
}
