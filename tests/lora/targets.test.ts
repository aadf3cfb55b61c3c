import { describe, expect, it } from "vitest";
import { targetTest } from "../../src/lora/target-modules.js";
import { type LayerSelection, nearestNames, patternKeyTest, selectLayers, shortestNames } from "../../src/lora/targets.js";
import { readModel } from "../../src/models/index.js";
import { architectures, encoders } from "../models/architectures.js";
import { golden } from "../support/golden.js";
import { tinyLayers } from "./tiny-layers.js";

interface Case {
  readonly target_modules: string | string[];
  readonly exclude_modules?: string | string[];
  readonly layers_to_transform?: number | number[];
  readonly layers: string[];
}

const selectionOf = (value: string | string[]): LayerSelection => {
  if (value === "all-linear") return { kind: "all-linear" };
  return typeof value === "string" ? { kind: "pattern", pattern: value } : { kind: "names", names: value };
};
const names = tinyLayers.map((layer) => layer.name);

const cases = golden<Case[]>("lora/targets.json");

describe("which layers an adapter's configuration means", () => {
  it.each(cases)("equals PEFT's choice for $target_modules without $exclude_modules in $layers_to_transform", (each) => {
    const meant = targetTest({
      targetModules: each.target_modules,
      excludeModules: each.exclude_modules,
      blocks: each.layers_to_transform === undefined ? undefined : [each.layers_to_transform].flat(),
    });
    expect([...names, "lm_head"].filter(meant).sort()).toEqual(each.layers);
  });

  it("is every layer where it names none", () => {
    expect(names.filter(targetTest({ targetModules: [], excludeModules: undefined, blocks: undefined }))).toEqual(names);
  });
});

describe("which layers PEFT takes by default", () => {
  const defaults = golden<Readonly<Record<string, readonly string[] | null>>>("lora/default-targets.json");

  it.each([...architectures, ...encoders])("%s", (folder) => {
    const model = readModel(golden<Record<string, unknown>>(`${folder}/config.json`));
    const layers = model.linearGroups.flat();
    const select = () => selectLayers(layers, { kind: "peft" }).map(({ name }) => name);
    const theirs = defaults[model.modelType] ?? (model.modelType === "smollm3" ? ["q_proj", "v_proj"] : undefined); // of PEFT, none
    if (theirs === undefined) expect(select).toThrow("PEFT takes no layers of this model by default: name them. Layers: ");
    else expect(select()).toEqual(layers.map(({ name }) => name).filter((name) => theirs.some((each) => name.endsWith(`.${each}`))));
  });
});

describe("which layers are adapted", () => {
  const chosen = cases.filter((each) => each.layers_to_transform === undefined);

  it.each(chosen)("equals PEFT's choice for $target_modules without $exclude_modules", (each) => {
    const select = () =>
      selectLayers(
        tinyLayers,
        selectionOf(each.target_modules),
        each.exclude_modules === undefined ? undefined : selectionOf(each.exclude_modules),
      ).map((l) => l.name);
    if (each.layers.length === 0) expect(select).toThrow(/No layer/);
    else expect(select().sort()).toEqual(each.layers);
  });

  it("refuses a name that matches nothing, nearest names first, even beside one that matches", () => {
    expect(() => selectLayers(tinyLayers, { kind: "names", names: ["q_proj", "v_porj", "gate"] })).toThrow(
      'No layer is called "v_porj". Nearest: v_proj, q_proj, ',
    );
    expect(() => selectLayers(tinyLayers, { kind: "names", names: ["q_proj", "gate"] })).toThrow(/^No layer is called "gate". Nearest: /);
    expect(nearestNames("gate_porj", names)[0]).toBe("gate_proj");
    expect(nearestNames("model.layers.1.self_attn.qproj", names)[0]).toBe("model.layers.1.self_attn.q_proj");
  });

  it("refuses a pattern that matches no whole path, one that is broken, and an empty list", () => {
    expect(() => selectLayers(tinyLayers, { kind: "pattern", pattern: "q_proj" })).toThrow(
      /No layer's whole path matches the pattern "q_proj"\. It must match from start to end: try "\.\*q_proj\.\*"\. Paths: model\.layers\.0\.self_attn\.q_proj/,
    );
    expect(() => selectLayers(tinyLayers, { kind: "pattern", pattern: "(" })).toThrow(/is not a regular expression/);
    // An engine that goes back and forth would look for a match of these for longer than anyone waits.
    expect(() => selectLayers(tinyLayers, { kind: "pattern", pattern: "(([a-z]+_?)+\\.?)+$x" })).toThrow(/No layer's whole path matches/);
    expect(patternKeyTest("(([a-z]+_?)+)+!")("x.".repeat(50))).toBe(false);
    expect(() => selectLayers(tinyLayers, { kind: "pattern", pattern: "(q)_proj\\1" })).toThrow(/it refers back to what a group matched/);
    expect(() => selectLayers(tinyLayers, { kind: "names", names: [] })).toThrow("No layer is named. Layers: q_proj, k_proj");
  });

  it("names layers by the ends of their paths only where that means exactly them", () => {
    const adapted = names.filter((name) => name.endsWith("q_proj") || name.endsWith("up_proj"));
    expect(shortestNames(adapted, names)).toEqual(["q_proj", "up_proj"]);
    expect(shortestNames(adapted.slice(1), names)).toEqual(adapted.slice(1));
  });
});
