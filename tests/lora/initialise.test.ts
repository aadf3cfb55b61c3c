import { describe, expect, it } from "vitest";
import { type AdapterLayout, buildLayout, viewOf } from "../../src/lora/layout.js";
import { type AdapterSpec, adaptGroups } from "../../src/lora/spec.js";
import { newTrainables, placeOf } from "../support/new-adapter.js";
import { tinyGroups } from "./tiny-layers.js";

const spec: AdapterSpec = { rank: 16, alpha: 16, dropout: 0, layers: { kind: "all-linear" }, initialisation: "gaussian" };
const groups = tinyGroups(512, 256, 1024);
const layout = buildLayout(adaptGroups(groups, spec));
const valuesOf = (of: AdapterLayout, vector: Float32Array, matrix: "A" | "B") =>
  of.groups.flatMap((group) => group.layers).map((layer) => viewOf(vector, placeOf(layer, matrix)));
const meanOf = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviationOf = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

describe("a new adapter", () => {
  it("has a Gaussian A with standard deviation 1/r, and B zero", async () => {
    const vector = await newTrainables(layout, "gaussian", 42);
    for (const a of valuesOf(layout, vector, "A")) {
      expect(Math.abs(meanOf(a))).toBeLessThan(5 / 16 / Math.sqrt(a.length));
      expect(deviationOf(a) * 16).toBeCloseTo(1, 1);
    }
    expect(valuesOf(layout, vector, "B").every((b) => b.every((value) => value === 0))).toBe(true);
  });

  it("has PEFT's uniform A in ±1/√inputs", async () => {
    const vector = await newTrainables(layout, "peft", 42);
    for (const layer of layout.groups.flatMap((group) => group.layers)) {
      const a = viewOf(vector, placeOf(layer, "A"));
      const bound = 1 / Math.sqrt(layer.inputs);
      const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).toBeLessThanOrEqual(Math.fround(bound));
      expect(largest).toBeGreaterThan(0.99 * bound);
      expect(deviationOf(a) * Math.sqrt(3 * layer.inputs)).toBeCloseTo(1, 1); // of a uniform number in ±1: 1/√3
    }
    expect(valuesOf(layout, vector, "B").every((b) => b.every((value) => value === 0))).toBe(true);
  });

  it("repeats by its seed, differs by seed and by matrix", async () => {
    const vector = await newTrainables(layout, "gaussian", 1);
    expect(await newTrainables(layout, "gaussian", 1)).toEqual(vector);
    expect(await newTrainables(layout, "gaussian", 2)).not.toEqual(vector);
    const starts = valuesOf(layout, vector, "A").map((a) => a.slice(0, 4).join());
    expect(new Set(starts).size).toBe(starts.length);
  });

  it("gives a layer the same values whatever other layers there are, in whatever order", async () => {
    const few = buildLayout(adaptGroups([...groups].reverse(), { ...spec, layers: { kind: "names", names: ["v_proj", "down_proj"] } }));
    const [all, some] = [await newTrainables(layout, "peft", 7), await newTrainables(few, "peft", 7)];
    for (const layer of few.groups.flatMap((group) => group.layers)) {
      const entry = layout.entries.get(placeOf(layer, "A").name);
      expect(viewOf(some, placeOf(layer, "A"))).toEqual(viewOf(all, entry!));
    }
  });
});
