import { beforeAll, describe, expect, it } from "vitest";
import type { Adapter, AdapterLayer } from "../../src/lora/adapter.js";
import { decompositionOf, effectiveRank } from "../../src/lora/decomposition.js";
import { directionsOf } from "../../src/lora/directions.js";
import { inspectAdapter } from "../../src/lora/inspection.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { golden, goldenPath } from "../support/golden.js";

type Facts = Record<string, { scale: number; norm: number; singularValues: number[] }>;
const expected = golden<{ adapter: Facts; patterns: Facts }>("lora/decomposition.json");
const decompose = (layer: AdapterLayer) => decompositionOf(directionsOf(layer));

let adapters: { adapter: Adapter; patterns: Adapter };
beforeAll(async () => {
  adapters = {
    adapter: await readAdapterFolder(goldenPath("tiny-llama/adapter")),
    patterns: await readAdapterFolder(goldenPath("lora/patterns")),
  };
});

describe("the change ΔW = s·BA of a layer", () => {
  it.each(["adapter", "patterns"] as const)("has NumPy's norm and singular values (%s)", (key) => {
    for (const layer of adapters[key].layers) {
      const { norm, singularValues } = decompose(layer);
      const facts = expected[key][layer.name]!;
      expect(norm / facts.norm).toBeCloseTo(1, 10);
      expect(singularValues).toHaveLength(facts.singularValues.length);
      for (const [index, value] of singularValues.entries()) expect(value / facts.singularValues[index]!).toBeCloseTo(1, 9);
    }
  });

  it("is zero at the start, and has no directions", () => {
    const [layer] = adapters.adapter.layers;
    expect(decompose({ ...layer!, b: new Float32Array(layer!.b.length) })).toEqual({
      norm: 0,
      singularValues: [0, 0, 0, 0],
      effectiveRank: 0,
    });
  });

  it("is measured where the rank is larger than a side of the layer", () => {
    const layer = {
      name: "small",
      rank: 3,
      inputs: 2,
      outputs: 4,
      scale: 1,
      a: new Float32Array([3, 0, 0, 4, 0, 0]),
      b: new Float32Array(12),
    };
    layer.b.set([1, 0, 0, 0, 1, 0]); // ΔW = [[3, 0], [0, 4], 0, 0]
    const { norm, singularValues } = decompose(layer);
    expect(norm).toBeCloseTo(5, 12);
    expect(singularValues.map((value) => Math.round(value * 1e9) / 1e9)).toEqual([4, 3]);
  });

  it("is refused where values are not finite", () => {
    const [layer] = adapters.adapter.layers;
    expect(() => decompose({ ...layer!, b: layer!.b.map((value, index) => (index === 5 ? Number.NaN : value)) })).toThrow(/not finite/);
  });
});

describe("the effective rank", () => {
  it("counts equal directions, and weighs unequal ones by their entropy", () => {
    expect(effectiveRank([2, 2, 2])).toBeCloseTo(3, 12);
    expect(effectiveRank([5, 0, 0])).toBeCloseTo(1, 12);
    expect(effectiveRank([3, 1])).toBeCloseTo(Math.exp(-(0.75 * Math.log(0.75) + 0.25 * Math.log(0.25))), 12);
    expect(effectiveRank([])).toBe(0);
  });
});

describe("inspecting an adapter", () => {
  it("sums parameters and norms over its layers", async () => {
    const { layers, ...whole } = await inspectAdapter(adapters.adapter);
    expect(whole).toMatchObject({ baseModel: "tiny-llama", rank: 4, alpha: 8, dropout: 0, scale: 2, rankStabilised: false });
    expect(whole.parameters).toBe(2 * 4 * (64 + 48 + 48 + 64 + 96 + 96 + 96));
    expect(whole.norm).toBeCloseTo(Math.sqrt(Object.values(expected.adapter).reduce((sum, { norm }) => sum + norm * norm, 0)), 8);
    expect(layers[0]).toMatchObject({ rank: 4, scale: 2 });
    expect((await inspectAdapter(adapters.patterns)).scale).toBeUndefined();
  });
});
