import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import type { Adapter } from "../../src/lora/adapter.js";
import type { Part } from "../../src/lora/combination/agreement.js";
import { combineAdapters } from "../../src/lora/combination/combine.js";
import type { CombinationSettings, Mask } from "../../src/lora/combination/combine-layer.js";
import { type CombinationType, combinationTypes, recipes } from "../../src/lora/combination/types.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { strengthOf } from "../../src/lora/spec.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { relativeError } from "../support/compare.js";
import { golden, goldenPath } from "../support/golden.js";
import { changeOf } from "./change.js";

interface Case {
  readonly adapters: readonly string[];
  readonly weights: readonly number[];
  readonly combination_type: CombinationType;
  readonly svd_rank?: number;
  readonly density?: number;
  readonly majority_sign_method?: "total" | "frequency";
}

const cases = golden<Record<string, Case>>("combine/cases.json");
const combined = await openSafetensorsFile(goldenPath("combine/combined.safetensors"));
const names = ["first", "second", "third", "wide"];
const adapters = new Map<string, Adapter>();
for (const name of names) adapters.set(name, await readAdapterFolder(goldenPath(`combine/${name}`)));

const part = (name: string, weight: number): Part => ({ name, weight, adapter: adapters.get(name)! });
const noMask: Mask = () => {
  throw new Error("no mask was expected");
};
const plain: CombinationSettings = { type: "cat", choice: { rank: 4 }, density: 1, signs: "total", mask: noMask };

/** The masks of a case, of which PEFT drew each when it came to it. */
async function masksOf(name: string): Promise<Mask> {
  const found = new Map<string, Float32Array>();
  for (const key of combined.tensors.keys()) if (key.startsWith(`${name}/mask/`)) found.set(key, await combined.readFloat32(key));
  return ({ adapter, layer, tensor }) => found.get(`${name}/mask/${layer}/${tensor}/${adapter}`)!;
}

test("there is a case of every type", () => {
  expect(new Set(Object.values(cases).map(({ combination_type: type }) => type))).toEqual(new Set(combinationTypes));
});

test.each(Object.keys(cases))("%s is PEFT's add_weighted_adapter", async (name) => {
  const { adapters: used, weights, combination_type: type, svd_rank: rank, density = 1, majority_sign_method: signs } = cases[name]!;
  const settings = {
    type,
    choice: { rank: rank ?? (used.includes("wide") ? 4 : 3) },
    density,
    signs: signs ?? "total",
    mask: await masksOf(name),
  };
  const { adapter, layers } = await combineAdapters(
    used.map((each, index) => part(each, weights[index]!)),
    settings,
  );
  expect(layers.map((layer) => layer.name).sort()).toEqual(
    [...combined.tensors.keys()]
      .filter((key) => key.startsWith(`${name}/layers`) && key.endsWith("lora_A"))
      .map((key) => key.slice(name.length + 1, -7))
      .sort(),
  );
  for (const layer of adapter.layers) {
    const a = await combined.readFloat32(`${name}/${layer.name}.lora_A`);
    const b = await combined.readFloat32(`${name}/${layer.name}.lora_B`);
    expect(strengthOf(adapter.config, layer.name)).toEqual({ rank: layer.rank, scale: 1 });
    expect(relativeError(changeOf(layer), changeOf({ rank: a.length / layer.inputs, scale: 1, a, b }))).toBeLessThan(2e-6);
    if (recipes[type].on !== "concatenation" && recipes[type].on !== "factors") continue;
    expect(relativeError(layer.a, a.subarray(0, layer.a.length)), "A").toBeLessThan(1e-6); // PEFT pads to the largest rank
  }
});

describe("arithmetic by concatenation", () => {
  test("is exact, and reducing it says what is lost", async () => {
    const parts = [part("first", 2), part("wide", -1)];
    const exact = await combineAdapters(parts, plain);
    expect(exact.layers.map(({ rank }) => rank).sort()).toEqual([5, 7, 7]);
    expect(exact.layers.every(({ distance, reductionError }) => distance === 0 && reductionError === undefined)).toBe(true);

    const reduced = await combineAdapters(parts, { ...plain, type: "svd", choice: { energy: 0.8 } });
    for (const [index, { exactNorm, distance, reductionError, rank }] of reduced.layers.entries()) {
      const [got, want] = [changeOf(reduced.adapter.layers[index]!), changeOf(exact.adapter.layers[index]!)];
      expect(rank).toBeLessThan(exact.layers[index]!.rank);
      expect(reductionError).toBeCloseTo(relativeError(got, want), 6);
      expect(distance / exactNorm).toBeCloseTo(reductionError!, 6);
      expect(reductionError!).toBeLessThan(Math.sqrt(0.2));
    }
  });

  test("what cancels is nothing", async () => {
    const parts = [part("first", 1), part("first", -1)];
    const { adapter, layers } = await combineAdapters(parts, { ...plain, type: "svd" });
    expect(Math.max(...adapter.layers.flatMap((layer) => [...changeOf(layer)].map(Math.abs)))).toBeLessThan(1e-6);
    expect(layers.every(({ distance }) => distance < 1e-5)).toBe(true);
  });
});

describe("what does not fit is refused", () => {
  const refused = (parts: readonly Part[], settings = plain) =>
    combineAdapters(parts, settings).then(
      () => "combined",
      (error: unknown) => (error instanceof InputError ? error.message : String(error)),
    );
  const changed = (name: string, weight: number, edit: (adapter: Adapter) => Adapter): Part => ({
    ...part(name, weight),
    adapter: edit(adapters.get(name)!),
  });

  test("adapters of different models", async () => {
    const based = (name: string, baseModel: string) =>
      changed(name, 1, (adapter) => ({ ...adapter, config: { ...adapter.config, baseModel } }));
    const parts = [based("first", "smollm2-135m"), based("second", "gpt2")];
    expect(await refused(parts)).toMatch(/first was trained for smollm2-135m, second for gpt2: .*--same-base/);
    expect(await refused([based("first", "smollm2-135m"), based("second", "HuggingFaceTB/SmolLM2-135M-Instruct")])).toBe("combined");
    expect((await combineAdapters(parts, plain, { sameBase: true })).adapter.config.baseModel).toBe("smollm2-135m");
  });

  test("other sides, and ranks that a type cannot add", async () => {
    const narrow = changed("second", 1, (adapter) => ({
      ...adapter,
      layers: adapter.layers.map((layer) => ({ ...layer, inputs: layer.inputs - 1, a: layer.a.slice(layer.rank) })),
    }));
    expect(await refused([part("first", 1), narrow])).toMatch(
      /layers\.0\.q_proj is \[10, 12\] in first, \[10, 11\] in second\nThey belong to different models/,
    );
    expect(await refused([part("first", 1), part("wide", 1)], { ...plain, type: "ties" })).toMatch(
      /layers\.0\.q_proj is of rank 3 in first, of rank 2 in wide\n.*Take ties_svd, or resize one/s,
    );
    expect(await refused([part("first", 0)])).toMatch(/all their factors are zero/);
    expect(await refused([part("first", 1e39)])).toMatch(/times the factors of the expression \(1e\+39\) the values grow beyond float32/);
  });

  test("DoRA, with a way out", async () => {
    const dora = changed("first", 1, (adapter) => ({ ...adapter, config: { ...adapter.config, method: "dora" } }));
    expect(await refused([dora, part("second", 1)])).toMatch(/first is an adapter of the method dora: .*lorikeet merge.*lorikeet extract/);
  });

  test("PiSSA without the weights that it starts from", async () => {
    const pissa = changed("first", 1, (adapter) => ({ ...adapter, config: { ...adapter.config, method: "pissa" } }));
    expect(await refused([pissa])).toMatch(
      /first is an adapter of the method pissa, whose changes are known only beside the weights of its model. Give the model/,
    );
  });

  test("a head is taken over once, by an adapter that counts once", async () => {
    const head = { name: "score.weight", shape: [2, 4], values: new Float32Array(8).fill(1) };
    const withHead = (name: string, weight: number) => changed(name, weight, (adapter) => ({ ...adapter, trained: [head] }));
    expect((await combineAdapters([part("first", 0.5), withHead("second", 1)], plain)).adapter.trained).toEqual([head]);
    expect(await refused([part("first", 1), withHead("second", 0.5)])).toMatch(/score\.weight.*its factor must be 1, found 0.5/);
    expect(await refused([withHead("first", 1), withHead("second", 1)])).toMatch(
      /first and second both hold tensors that were trained whole/,
    );
  });
});
