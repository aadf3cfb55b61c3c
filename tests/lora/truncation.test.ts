import { expect, test } from "vitest";
import { convertByStart } from "../../src/lora/conversion.js";
import { leadingDirections } from "../../src/lora/leading-directions.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { peftTensors } from "../../src/lora/peft-tensors.js";
import { resizeAdapter } from "../../src/lora/resizing.js";
import { strengthOf } from "../../src/lora/spec.js";
import { type RankChoice, truncate } from "../../src/lora/truncation.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { largestDifference, relativeError } from "../support/compare.js";
import { golden, goldenPath } from "../support/golden.js";
import { changeOf } from "./change.js";

const choices: Readonly<Record<string, RankChoice>> = {
  "rank-1": { rank: 1 },
  "energy-0.5": { energy: 0.5 },
  "energy-0.9": { energy: 0.9 },
};

test.each(Object.entries(choices))("an adapter is resized to %s as PEFT's convert_to_lora does", async (name, choice) => {
  const ranks = golden<Record<string, Record<string, number>>>("combine/resized.json")[name]!;
  const theirs = await openSafetensorsFile(goldenPath("combine/resized.safetensors"));
  const before = await readAdapterFolder(goldenPath("combine/wide"));
  const { adapter, layers } = await resizeAdapter(before, choice, "wide");
  for (const [index, layer] of adapter.layers.entries()) {
    const rank = ranks[layer.name]!;
    expect(layer.rank).toBe(rank);
    expect(strengthOf(adapter.config, layer.name)).toEqual({ rank, scale: 1 });
    const [a, b] = [await theirs.readFloat32(`${name}/${layer.name}.lora_A`), await theirs.readFloat32(`${name}/${layer.name}.lora_B`)];
    expect(relativeError(changeOf(layer), changeOf({ rank, scale: 1, a, b }))).toBeLessThan(2e-6);
    expect(layers[index]!.relativeError).toBeCloseTo(relativeError(changeOf(layer), changeOf(before.layers[index]!)), 6);
  }
});

test("a rank that no layer exceeds is refused", async () => {
  const wide = await readAdapterFolder(goldenPath("combine/wide"));
  await expect(resizeAdapter(wide, { rank: 4 }, "wide")).rejects.toThrow("wide has rank 4 at most already. Give a rank below 4");
  expect((await resizeAdapter(wide, { rank: 3 }, "wide")).layers.map(({ rank }) => rank).sort()).toEqual([2, 3, 3]);
});

test("the leading directions of a large matrix are LAPACK's, and as many as PEFT takes for a share of the energy", () => {
  const { singularValues, norm, cutoffs } = golden<{ singularValues: number[]; norm: number; cutoffs: Record<string, number> }>(
    "combine/spectrum.json",
  );
  const [rows, columns] = [150, 140];
  const values = Float64Array.from(
    { length: rows * columns },
    (_, at) => 1 / (1 + ((Math.floor(at / columns) - 1.05 * (at % columns)) / 4) ** 2),
  );
  const layer = { name: "large", outputs: rows, inputs: columns };
  const twelve = leadingDirections({ rows, columns, values }, { rank: 12 });
  expect(Math.sqrt(twelve.total) / norm).toBeCloseTo(1, 12);
  const energy = (found: Iterable<number>) => [...found].reduce((sum, value) => sum + value ** 2, 0);
  expect(energy(twelve.directions.values) / energy(singularValues)).toBeCloseTo(1, 5);
  expect(twelve.directions.values[0]! / singularValues[0]!).toBeCloseTo(1, 6);
  const { relativeError: lost, layer: pair } = truncate(layer, twelve.directions, { rank: 12 }, twelve.total);
  expect(relativeError(changeOf(pair), values)).toBeCloseTo(lost, 6);
  for (const [share, rank] of Object.entries(cutoffs)) {
    const choice = { energy: Number(share) };
    const { directions, total } = leadingDirections({ rows, columns, values }, choice);
    expect(truncate(layer, directions, choice, total).layer.rank).toBe(rank);
  }
});

test("a matrix of zeros has no directions, and one column has one", () => {
  const zeros = leadingDirections({ rows: 4, columns: 3, values: new Float32Array(12) }, { energy: 0.9 });
  expect(zeros.total).toBe(0);
  const column = leadingDirections({ rows: 3, columns: 1, values: [0, 3, 4] }, { rank: 5 });
  expect([...column.directions.values]).toEqual([5]);
});

test.each(["pissa", "pissa-patterns", "olora"])(
  "%s becomes a plain LoRA as in PEFT's path_initial_model_for_weight_conversion",
  async (name) => {
    const raw = await readAdapterFolder(goldenPath(`variants/${name}/raw`));
    const theirs = await readAdapterFolder(goldenPath(`variants/${name}/adapter`));
    const start = await openSafetensorsFile(goldenPath(`variants/${name}/golden.safetensors`));
    const layers = [];
    for (const layer of raw.layers) {
      const read = (matrix: string) => start.readFloat32(`start/base_model.model.${layer.name}.lora_${matrix}.weight`);
      layers.push({ ...layer, a: await read("A"), b: await read("B") });
    }
    const converted = convertByStart(raw, { ...raw, layers }, name);
    const { initialisation: _, targetModules: names, ...config } = theirs.config;
    expect(converted.config).toMatchObject(config);
    const ours = new Map(peftTensors(converted).map((tensor) => [tensor.name, tensor]));
    for (const { name: tensor, shape, values } of peftTensors(theirs)) {
      expect(ours.get(tensor)?.shape).toEqual(shape);
      expect(largestDifference(ours.get(tensor)!.values, values)).toBe(0);
    }
    expect(ours.size).toBe(peftTensors(theirs).length);
    expect([...(converted.config.targetModules as string[])].sort()).toEqual([...(names as string[])].sort());

    const less = { ...raw, layers: layers.slice(1).map((layer) => ({ ...layer, rank: layer.rank + 1 })) };
    expect(() => convertByStart(raw, less, "mine")).toThrow(
      /The start is not that of mine:\n- .* is not in it\n- .* of rank \d in it, and .*/s,
    );
  },
);
