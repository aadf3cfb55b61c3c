import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Adapter } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import { readAdapterFolder, writeAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import { golden, goldenPath } from "../support/golden.js";
import { tinyGroups, tinyLayers } from "./tiny-layers.js";

const peftFolder = goldenPath("tiny-llama/adapter");
let scratch: string;
let adapter: Adapter;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "adapter-folder-"));
  adapter = await readAdapterFolder(peftFolder);
});
afterAll(() => rm(scratch, { recursive: true }));

const config = async (folder: string) => JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
const header = async (folder: string) => {
  const checkpoint = await openSafetensorsFile(join(folder, "adapter_model.safetensors"));
  return [...checkpoint.tensors.values()].map(({ name, type, shape }) => ({ name, type, shape }));
};
/** PEFT's adapter with a changed configuration. */
const changed = async (name: string, fields: Record<string, unknown>) => {
  const folder = join(scratch, name);
  await cp(peftFolder, folder, { recursive: true });
  await writeFile(join(folder, "adapter_config.json"), JSON.stringify({ ...(await config(peftFolder)), ...fields }));
  return folder;
};
const values = (each: Adapter) =>
  each.layers.map(({ name, scale, a, b }) => ({ name, scale, a, b })).sort((x, y) => (x.name < y.name ? -1 : 1));

describe("an adapter that PEFT saved", () => {
  it("is read with its shapes and scale", () => {
    expect(adapter.layers).toHaveLength(14);
    expect(adapter.layers.find((layer) => layer.name === "model.layers.1.mlp.down_proj")).toMatchObject({
      rank: 4,
      inputs: 64,
      outputs: 32,
      scale: 2,
    });
    checkFit(adapter, tinyLayers, "tiny-llama");
  });

  it("is read with rank_pattern, alpha_pattern, rsLoRA and BF16 as PEFT scales it", async () => {
    const expected = golden<{ patterns: Record<string, { scale: number; rank: number }> }>("lora/decomposition.json").patterns;
    const patterns = await readAdapterFolder(goldenPath("lora/patterns"));
    expect(patterns.layers.map((layer) => layer.name).sort()).toEqual(Object.keys(expected).sort());
    for (const { name, rank, scale } of patterns.layers) {
      expect(rank).toBe(expected[name]?.rank);
      expect(scale).toBeCloseTo(expected[name]!.scale, 12);
    }
  });

  // Proves peft-adapter in: keys without the prefix or with the adapter's name, F16 and the fewest fields
  it("is read without the prefix, with the adapter's own name in the keys, in F16, and with the fewest fields", async () => {
    const folder = await changed("bare", {});
    await writeFile(
      join(folder, "adapter_config.json"),
      '{"peft_type":"LORA","target_modules":["down_proj","gate_proj"],"r":4,"unknown":1}',
    );
    const entries = adapter.layers.slice(0, 2).flatMap((layer, index) =>
      (["A", "B"] as const).map((matrix) => ({
        name: `${index === 0 ? layer.name : `base_model.model.${layer.name}`}.lora_${matrix}.${index === 0 ? "" : "default."}weight`,
        dtype: "F16" as const,
        shape: matrix === "A" ? [4, layer.inputs] : [layer.outputs, 4],
        data: () => new Uint16Array(4 * (matrix === "A" ? layer.inputs : layer.outputs)).fill(0x3c00), // 1.0
      })),
    );
    await writeSafetensors(join(folder, "adapter_model.safetensors"), entries);
    const bare = await readAdapterFolder(folder);
    expect(bare.layers.map((layer) => layer.name)).toEqual(adapter.layers.slice(0, 2).map((layer) => layer.name));
    expect(bare.config).toMatchObject({ baseModel: undefined, alpha: 8, dropout: 0, rankStabilised: false });
    expect(bare.layers.every((layer) => layer.a.every((value) => value === 1))).toBe(true);
  });
});

describe("an adapter written here", () => {
  it("has PEFT's fields, keys, shapes and values", async () => {
    const folder = join(scratch, "written");
    await writeAdapterFolder(folder, adapter);
    expect((await readdir(folder)).sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
    const [ours, theirs] = [await config(folder), await config(peftFolder)];
    expect(Object.keys(ours)).toEqual(Object.keys(theirs));
    expect(Object.keys(ours)).toHaveLength(41);
    expect({ ...ours, target_modules: new Set(ours.target_modules) }).toEqual({
      ...theirs,
      target_modules: new Set(theirs.target_modules),
    });
    expect(await header(folder)).toEqual(await header(peftFolder));
    expect(await readAdapterFolder(folder)).toEqual(adapter);
    const bytes = await readFile(join(folder, "adapter_model.safetensors"));
    expect(bytes.toString("latin1")).toContain('"__metadata__":{"format":"pt"}');
  });

  it("keeps patterns and rsLoRA", async () => {
    const folder = join(scratch, "patterns");
    const patterns = await readAdapterFolder(goldenPath("lora/patterns"));
    await writeAdapterFolder(folder, patterns);
    expect(await config(folder)).toEqual(await config(goldenPath("lora/patterns")));
    expect(await readAdapterFolder(folder)).toEqual(patterns);
  });

  it("has a model card that names the base only where it is a name on the Hub", async () => {
    const folder = join(scratch, "card");
    await writeAdapterFolder(folder, { ...adapter, config: { ...adapter.config, baseModel: "owner/base-1B" } });
    expect(await readFile(join(folder, "README.md"), "utf8")).toMatch(/^---\nbase_model: owner\/base-1B\nlibrary_name: peft\n/);
    await writeAdapterFolder(folder, { ...adapter, config: { ...adapter.config, baseModel: "/models/base.gguf" } });
    expect(await readFile(join(folder, "README.md"), "utf8")).toMatch(/^---\nlibrary_name: peft\n/);
  });
});

describe("replacing an adapter", () => {
  const doubled = () => ({ ...adapter, layers: adapter.layers.map((layer) => ({ ...layer, b: layer.b.map((value) => 2 * value) })) });
  const other = () => ({ ...doubled(), config: { ...adapter.config, alpha: 16 } });

  it("keeps what else lies in the folder, and clears what a kill left", async () => {
    const folder = join(scratch, "replaced");
    await writeAdapterFolder(folder, adapter);
    await writeFile(join(folder, "metrics.jsonl"), "{}\n");
    await mkdir(join(folder, ".adapter-unfinished"));
    await writeFile(join(folder, ".adapter-unfinished", "adapter_config.json"), "{");
    await writeAdapterFolder(folder, doubled());
    expect(values(await readAdapterFolder(folder))).toEqual(values(doubled()));
    expect((await readdir(folder)).sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors", "metrics.jsonl"]);
  });

  it("reads the old adapter before the new one stands whole, and the new one from then on, at every step", async () => {
    const folder = join(scratch, "killed");
    await writeAdapterFolder(folder, adapter);
    const next = join(scratch, "next");
    await writeAdapterFolder(next, other());
    await cp(next, join(folder, ".adapter-unfinished"), { recursive: true });
    expect(values(await readAdapterFolder(folder))).toEqual(values(adapter));
    await rename(join(folder, ".adapter-unfinished"), join(folder, ".adapter-next"));
    const expected = await readAdapterFolder(next);
    for (const file of ["README.md", "adapter_model.safetensors", "adapter_config.json"]) {
      expect(await readAdapterFolder(folder)).toEqual(expected);
      await rename(join(folder, ".adapter-next", file), join(folder, file));
    }
    expect(await readAdapterFolder(folder)).toEqual(expected);
    await writeAdapterFolder(folder, adapter);
    expect(values(await readAdapterFolder(folder))).toEqual(values(adapter));
    expect((await readdir(folder)).sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
  });
});

describe("what is refused", () => {
  it.each([
    [{ peft_type: "LOHA" }, /peft_type is "LOHA"; only "LORA"/],
    [{ use_dora: true }, /q_proj: lora_magnitude_vector is missing, not a vector of 32 values/],
    [{ use_dora: true, init_lora_weights: "pissa" }, /dora and pissa at once, which is not supported/],
    [{ bias: "some" }, /bias: Invalid option: expected one of "none"\|"all"\|"lora_only"/],
    [{ lora_bias: true }, /lora_bias/],
    [{ init_lora_weights: "pissa_niter_4" }, /changes the base's weights \(init_lora_weights: "pissa_niter_4"\)/],
    [{ trainable_token_indices: { embed_tokens: [1], lm_head: [2] } }, /other tokens for embed_tokens and lm_head/],
    [{ r: -1, lora_alpha: "x" }, /- r: .*\n- lora_alpha: /],
    [{ r: 8 }, /lora_A is \[4, 32\] and lora_B \[32, 4\]; rank 8 of the configuration needs \[8, inputs\] and \[outputs, 8\]/],
  ])("a configuration with %j", async (fields, message) => {
    const folder = await changed(JSON.stringify(fields).replace(/\W/g, ""), fields);
    await expect(readAdapterFolder(folder)).rejects.toThrow(message);
    await expect(readAdapterFolder(folder)).rejects.toHaveProperty("name", "InputError");
  });

  it("tensors of DoRA, of saved modules, without a partner: all in one error", async () => {
    const folder = await changed("foreign", {});
    const tensor = (name: string, shape: number[]) => ({
      name,
      dtype: "F32" as const,
      shape,
      data: () => new Float32Array(shape.reduce((x, y) => x * y)),
    });
    await writeSafetensors(join(folder, "adapter_model.safetensors"), [
      tensor("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", [4, 32]),
      tensor("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", [32]),
      tensor("base_model.model.lm_head.weight", [2, 2]),
    ]);
    await expect(readAdapterFolder(folder)).rejects.toThrow(
      /q_proj\.lora_magnitude_vector is the magnitude of DoRA[\s\S]*lm_head\.weight is neither[\s\S]*modules_to_save[\s\S]*q_proj has a lora_A without its lora_B/,
    );
  });

  it("values that are not finite, by their tensors", async () => {
    const folder = await changed("damaged", {});
    const [first, second] = adapter.layers;
    const damaged = (values: Float32Array, value: number) => values.map((each, index) => (index === 5 ? value : each));
    const layers = [
      { ...first!, a: damaged(first!.a, Number.NaN) },
      { ...second!, b: damaged(second!.b, Number.NEGATIVE_INFINITY) },
      ...adapter.layers.slice(2),
    ];
    await writeAdapterFolder(folder, { ...adapter, layers });
    const reading = readAdapterFolder(folder);
    await expect(reading).rejects.toHaveProperty("name", "InputError");
    for (const tensor of [`${first!.name}.lora_A.weight`, `${second!.name}.lora_B.weight`]) {
      await expect(reading).rejects.toThrow(`\n- base_model.model.${tensor} holds 1 values that are not finite (NaN or infinity)`);
    }
  });

  it("layers that the configuration does not mean, all in one error", async () => {
    const folder = await changed("strangers", { target_modules: ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"] });
    await expect(readAdapterFolder(folder)).rejects.toThrow(
      /layers\.0\.mlp\.gate_proj has matrices, but is none of the configuration's target_modules[\s\S]*layers\.1\.mlp\.gate_proj has/,
    );
    const blocks = await changed("blocks", { layers_to_transform: 1 });
    await expect(readAdapterFolder(blocks)).rejects.toThrow(/layers\.0\.mlp\.gate_proj has matrices, but is none/);
  });

  it("layers that the configuration means and the file lacks, all in one error", () => {
    const layers = adapter.layers.filter(({ name }) => !name.endsWith("k_proj"));
    expect(() => checkFit({ ...adapter, layers }, tinyLayers, "other")).toThrow(
      /\(2 mismatches\)[\s\S]*layers\.0\.self_attn\.k_proj: the adapter's target_modules mean this layer, but its file has no matrices for it[\s\S]*layers\.1\.self_attn\.k_proj/,
    );
  });

  // Proves peft-bin in: read as its safetensors are
  it("PEFT's old adapter_model.bin is read as its safetensors are", async () => {
    const folder = join(scratch, "old");
    const tinyChat = goldenPath("tiny-chat/adapter");
    await mkdir(folder);
    await copyFile(join(tinyChat, "adapter_config.json"), join(folder, "adapter_config.json"));
    await copyFile(goldenPath("torch/adapter_model.bin"), join(folder, "adapter_model.bin"));
    expect(await readAdapterFolder(folder)).toEqual({ ...(await readAdapterFolder(tinyChat)), labelling: undefined });
  });

  it("folders that hold no adapter", async () => {
    await expect(readAdapterFolder(join(scratch, "none"))).rejects.toThrow(/none does not exist/);
    await expect(readAdapterFolder(goldenPath("tiny-llama"))).rejects.toThrow(/has no adapter_config\.json\. It looks like a whole model/);
    const folder = await changed("bin", {});
    await rename(join(folder, "adapter_model.safetensors"), join(folder, "adapter_model.bin"));
    await expect(readAdapterFolder(folder)).rejects.toThrow(/adapter_model\.bin is no file of PyTorch that can be read/);
    await writeFile(join(folder, "adapter_config.json"), "[]");
    await expect(readAdapterFolder(folder)).rejects.toThrow(/must hold a JSON object/);
  });

  it("an adapter of another model: every mismatch in one error", () => {
    const groups = tinyGroups(32, 24);
    const layers = groups.flat().filter((layer) => !layer.name.endsWith("1.mlp.down_proj"));
    expect(() => checkFit(adapter, layers, "other")).toThrow(
      /does not fit the model other \(5 mismatches\)\. It was trained for tiny-llama: use that model\.[\s\S]*k_proj: the adapter expects a weight of \[16, 32\], the model has \[24, 32\][\s\S]*down_proj: the model has no such layer \(nearest: model\.layers\.0\.mlp\.down_proj/,
    );
    // Not the advice to use the model that is in use, by whatever name.
    const ours = { ...adapter, config: { ...adapter.config, baseModel: "HuggingFaceTB/SmolLM2-135M-Instruct" } };
    for (const name of ["smollm2-135m", "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct"]) {
      expect(() => checkFit(ours, layers, name)).toThrow("It names this model as its base: one of the two has changed since");
      expect(() => checkFit(ours, layers, name)).not.toThrow("use that model");
    }
    expect(() => checkFit({ ...adapter, layers: [] }, layers, "other")).toThrow(/it has no layer at all/);
  });
});
