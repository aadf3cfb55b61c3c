import { describe, expect, it } from "vitest";
import { adapterFromVectors, configOf, vectorFromAdapter } from "../../src/lora/adapter.js";
import { buildLayout, viewOf } from "../../src/lora/layout.js";
import { type AdapterSpec, adapterScale, adaptGroups } from "../../src/lora/spec.js";
import { placeOf } from "../support/new-adapter.js";
import { tinyGroups, tinyLayers } from "./tiny-layers.js";

const spec: AdapterSpec = { rank: 4, alpha: 8, dropout: 0, layers: { kind: "all-linear" }, initialisation: "gaussian" };
const layout = buildLayout(adaptGroups(tinyGroups(), spec));

describe("the flat vector of an adapter", () => {
  it("holds every matrix once, without gaps, A before B in each group", () => {
    let at = 0;
    for (const entry of layout.entries.values()) {
      expect(entry.offset).toBe(at);
      at += entry.shape.reduce((product, extent) => product * extent, 1);
    }
    expect(at).toBe(layout.length);
    expect(layout.entries.size).toBe(2 * tinyLayers.length);
  });

  it("stacks the A matrices of layers that share an input", () => {
    const [qkv] = layout.groups;
    const stack = qkv?.stacks[0]?.entry;
    expect(stack?.shape).toEqual([12, 32]);
    const vector = Float32Array.from({ length: layout.length }, (_, index) => index);
    const stacked = stack === undefined ? [] : [...viewOf(vector, stack)];
    expect(stacked).toEqual(qkv?.layers.flatMap((layer) => [...viewOf(vector, placeOf(layer, "A"))]));
  });

  it("leaves out groups and layers without an adapter", () => {
    const some = buildLayout(adaptGroups(tinyGroups(), { ...spec, layers: { kind: "names", names: ["v_proj", "down_proj"] } }));
    expect(some.groups.map((group) => group.layers.map((layer) => layer.name.split(".").at(-1)))).toEqual([
      ["v_proj"],
      ["down_proj"],
      ["v_proj"],
      ["down_proj"],
    ]);
    expect(some.length).toBe(2 * (4 * 32 + 16 * 4 + 4 * 64 + 32 * 4));
  });

  it("becomes an adapter and a vector again", () => {
    const tinyModel = { linearGroups: tinyGroups(), weights: new Map(), embedding: "model.embed_tokens.weight" };
    const vector = Float32Array.from({ length: layout.length }, (_, index) => Math.sin(index));
    const adapter = adapterFromVectors(configOf(spec, layout, tinyLayers, "tiny-llama"), layout, {
      trainables: vector,
      frozen: new Float32Array(),
    });
    expect(adapter.config.targetModules).toEqual(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]);
    const again = vectorFromAdapter(adapter, tinyModel);
    expect(again.vector).toEqual(vector);
    expect(again.layout).toEqual(layout);
    const other = { ...adapter, layers: adapter.layers.map((layer) => ({ ...layer, name: `other.${layer.name}` })) };
    expect(() => vectorFromAdapter(other, tinyModel)).toThrow(/lacks layers of the adapter: other\./);
  });

  it("refuses layers of one group that read inputs of different size, and the same layer twice", () => {
    const layer = { name: "a", inputs: 4, outputs: 4, rank: 1, scale: 1 };
    expect(() => buildLayout([[layer, { ...layer, name: "b", inputs: 5 }]])).toThrow(/share an input/);
    expect(() => buildLayout([[layer], [layer]])).toThrow(/laid out twice/);
  });
});

describe("an adapter's spec", () => {
  it("scales by α/r, or α/√r when rank-stabilised", () => {
    expect(adapterScale(32, 16)).toBe(2);
    expect(adapterScale(32, 16, true)).toBe(8);
  });

  it("adapts the blocks that are named, without what is excluded", () => {
    const some = adaptGroups(tinyGroups(), { ...spec, blocks: [1], exclude: { kind: "pattern", pattern: ".*_proj.*(?<!q_proj)" } });
    expect(some.flat().map(({ name }) => name)).toEqual(["model.layers.1.self_attn.q_proj"]);
  });

  it("is refused where blocks or patterns mean nothing, or nothing is left", () => {
    const adapt = (changes: Partial<AdapterSpec>) => () => adaptGroups(tinyGroups(), { ...spec, ...changes });
    expect(adapt({ blocks: [1, 7], rankPattern: { q_prj: 2 } })).toThrow(
      /there is no block 7; blocks are 0 to 1; no adapted layer is called "q_prj"; nearest: q_proj/,
    );
    expect(adapt({ layers: { kind: "names", names: ["q_proj"] }, exclude: { kind: "names", names: ["self_attn.q_proj"] } })).toThrow(
      /No layer is called "q_proj"/,
    );
  });

  it("is refused with everything that is wrong", () => {
    expect(() => adaptGroups(tinyGroups(), { ...spec, rank: 0.5, alpha: -1, dropout: 1 })).toThrow(
      "The adapter cannot be made: rank must be a whole number from 1 to 4096, found 0.5; alpha must be a number above 0, found -1; dropout must be at least 0 and below 1, found 1.",
    );
  });
});
