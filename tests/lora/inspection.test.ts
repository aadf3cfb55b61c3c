import { beforeAll, describe, expect, it } from "vitest";
import type { Adapter, AdapterLayer } from "../../src/lora/adapter.js";
import { directionsOf } from "../../src/lora/directions.js";
import { type AdapterInspection, inspectAdapter } from "../../src/lora/inspection.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { similarityOf } from "../../src/lora/similarity.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { golden, goldenPath } from "../support/golden.js";

interface Expected {
  readonly similarity: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly amplification: Readonly<Record<string, { readonly factor: number; readonly projection: number; readonly weightNorm: number }>>;
}

const expected = golden<Expected>("lora/inspection.json");
let adapter: Adapter;
let inspection: AdapterInspection;
beforeAll(async () => {
  adapter = await readAdapterFolder(goldenPath("tiny-llama/adapter"));
  const weights = await openSafetensorsFile(goldenPath("tiny-llama/model.safetensors"));
  inspection = await inspectAdapter(adapter, {
    weightOf: ({ name }) => weights.readFloat32(`${name}.weight`),
    other: await readAdapterFolder(goldenPath("lora/patterns")),
  });
});

describe("an adapter beside its model and another adapter, from the small factors alone", () => {
  it("has the amplification that NumPy finds with dense decompositions", () => {
    expect(inspection.layers).toHaveLength(Object.keys(expected.amplification).length);
    for (const { name, rank, shape, amplification } of inspection.layers) {
      const facts = expected.amplification[name]!;
      expect(amplification!.factor! / facts.factor).toBeCloseTo(1, 9);
      expect(amplification!.projection / facts.projection).toBeCloseTo(1, 9);
      expect(amplification!.weightNorm / facts.weightNorm).toBeCloseTo(1, 9);
      expect(amplification!.byChance).toBeCloseTo((rank * facts.weightNorm) / Math.sqrt(shape[0] * shape[1]), 9);
    }
  });

  it("has NumPy's φ(i, j) with the layers that both have, also of unequal ranks, and none with the others", () => {
    let unequal = 0;
    for (const { name, rank, similarity } of inspection.layers) {
      const facts = expected.similarity[name];
      if (facts === undefined) {
        expect(similarity).toBeUndefined();
        continue;
      }
      if (facts[0]!.length !== rank) unequal++;
      expect(similarity!.values.map((row) => row.length)).toEqual(facts.map((row) => row.length));
      for (const [i, row] of facts.entries()) for (const [j, phi] of row.entries()) expect(similarity!.values[i]![j]!).toBeCloseTo(phi, 9);
    }
    expect(unequal).toBeGreaterThan(0);
  });
});

describe("the directions of a change", () => {
  const dense = ({ inputs, outputs, rank, scale, a, b }: AdapterLayer) =>
    Array.from({ length: outputs * inputs }, (_, at) => {
      let value = 0;
      for (let r = 0; r < rank; r++) value += b[Math.floor(at / inputs) * rank + r]! * a[r * inputs + (at % inputs)]!;
      return scale * value;
    });

  it("give ΔW back: U·diag(σ)·Vᵀ, also where the rank is larger than a side", () => {
    const wide: AdapterLayer = {
      name: "small",
      rank: 3,
      inputs: 2,
      outputs: 4,
      scale: 0.5,
      a: Float32Array.of(1, 2, -3, 4, 5, 0.5),
      b: Float32Array.of(1, 0, 2, -1, 3, 1, 0, 1, 0, 2, 2, -2),
    };
    for (const layer of [wide, adapter.layers[0]!]) {
      const { left, values, right } = directionsOf(layer);
      const count = values.length;
      expect(count).toBe(Math.min(layer.rank, layer.inputs, layer.outputs));
      for (const [at, want] of dense(layer).entries()) {
        let value = 0;
        for (let k = 0; k < count; k++)
          value += left[Math.floor(at / layer.inputs) * count + k]! * values[k]! * right[(at % layer.inputs) * count + k]!;
        expect(value).toBeCloseTo(want, 6);
      }
    }
  });

  it("are wholly alike with themselves, however the product is split between A and B", () => {
    const [layer] = adapter.layers;
    const split = { ...layer!, a: layer!.a.map((value) => value * 8), b: layer!.b.map((value) => value / 8) };
    const { values } = similarityOf(directionsOf(layer!), directionsOf(split), layer!.inputs);
    expect(Math.max(...values.flat())).toBeLessThanOrEqual(1); // by its definition, whatever rounding says
    expect(values).toHaveLength(layer!.rank);
    for (const [i, row] of values.entries()) for (const phi of row.slice(i, i + 1)) expect(phi).toBeCloseTo(1, 9);
  });

  it("that changed nothing are compared with nothing", () => {
    const [layer] = adapter.layers;
    const untrained = directionsOf({ ...layer!, b: new Float32Array(layer!.b.length) });
    expect(similarityOf(untrained, directionsOf(layer!), layer!.inputs).values).toEqual([]);
  });
});
