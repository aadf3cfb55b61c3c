import { describe, expect, test } from "vitest";
import { initialiseAdapter, starts } from "../../src/lora/initialise.js";
import { product } from "../../src/lora/kernels/products.js";
import { buildLayout, viewOf } from "../../src/lora/layout.js";
import { adaptGroups } from "../../src/lora/spec.js";
import { variantOf } from "../../src/lora/variants/index.js";
import { settledBlocks } from "../../src/weights/kernels/blocks.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { weightsOf } from "../../src/workflows/node/applied-adapter.js";
import { loadArchitecture } from "../support/architecture.js";
import { relativeError } from "../support/compare.js";
import { goldenPath } from "../support/golden.js";

// LoftQ's start against PEFT's loftq_init with the same quantiser (tests/golden/loftq.py).

const variant = variantOf("loftq");
const model = await loadArchitecture("qwen2");
const golden = await openSafetensorsFile(goldenPath("loftq/golden.safetensors"));
const names = [...new Set([...golden.tensors.keys()].map((key) => key.split("/")[0]!))];
const rounded = (matrix: Float32Array) => settledBlocks(matrix, 32);

/** Q_T, A and B of a layer. */
async function started(name: string, { rounds = 0, loftqRounds = 1, alpha = 2 }) {
  const spec = { method: "loftq", rank: 2, alpha, dropout: 0, layers: { kind: "names", names: [name] }, initialisation: "peft" } as const;
  const layout = buildLayout(adaptGroups(model.model.linearGroups, spec), [], variant);
  const layer = layout.groups[0]!.layers[0]!;
  const start = { initialisation: "peft", rounds, seed: 1, weightOf: weightsOf(model), rounded, settings: { loftqRounds } } as const;
  const base = await variant.base!(layer, starts([layer], start)(layer));
  const { trainables } = await initialiseAdapter(layout, { ...start, baseOf: () => Promise.resolve(base) });
  const [a, b] = ["A", "B"].map((matrix) => viewOf(trainables, layer.parameters.get(`lora_${matrix}.weight`)!));
  return { base, change: product(b!, a!, layer.outputs, layer.rank, layer.inputs).map((value) => layer.scale * value) };
}

/** ‖W − what stands in for it‖ / ‖W − q(W)‖ */
async function shareOfRounding(name: string, { base, change }: Awaited<ReturnType<typeof started>>) {
  const weight = await model.checkpoint.readFloat32(`${name}.weight`);
  const lost = relativeError(rounded(weight), weight);
  return (
    relativeError(
      base.map((value, at) => value + change[at]!),
      weight,
    ) / lost
  );
}

describe.each(names)("%s", (name) => {
  test.each([1, 5])("has PEFT's base, and PEFT's B·A beside it, after %i rounds", async (loftqRounds) => {
    const { base, change } = await started(name, { loftqRounds });
    const { outputs, inputs } = model.model.linearGroups.flat().find((layer) => layer.name === name)!;
    const theirs = (key: string) => golden.readFloat32(`${name}/${loftqRounds}/${key}`);
    expect(relativeError(base, await theirs("base"))).toBeLessThan(1e-6);
    expect(relativeError(change, product(await theirs("b"), await theirs("a"), outputs, 2, inputs))).toBeLessThan(1e-4);
  });

  test("loses less of W than rounding alone, less with more rounds, whatever the strength and however the directions are found", async () => {
    const one = await shareOfRounding(name, await started(name, { loftqRounds: 1 }));
    const five = await shareOfRounding(name, await started(name, { loftqRounds: 5 }));
    expect(one).toBeLessThan(0.98);
    expect(five).toBeLessThan(one);
    expect(await shareOfRounding(name, await started(name, { alpha: 16 }))).toBeCloseTo(one, 4);
    expect(await shareOfRounding(name, await started(name, { rounds: 4 }))).toBeLessThan(1.02 * one);
  });

  test("has values that rounding again leaves alone", async () => {
    const { base } = await started(name, { loftqRounds: 5 });
    expect(relativeError(rounded(base), base)).toBeLessThan(1e-6);
  });
});

test("a weight that is not rounded gets the start of LoRA", async () => {
  const spec = { method: "loftq", rank: 2, alpha: 2, dropout: 0, layers: { kind: "all-linear" }, initialisation: "peft" } as const;
  const layoutOf = (method: "lora" | "loftq") => buildLayout(adaptGroups(model.model.linearGroups, spec), [], variantOf(method));
  const start = { initialisation: "peft", rounds: 0, seed: 1, weightOf: weightsOf(model) } as const;
  const values = async (method: "lora" | "loftq") => (await initialiseAdapter(layoutOf(method), start)).trainables;
  expect(await values("loftq")).toEqual(await values("lora"));
});
