import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { readMlxFolder, writeMlxFolder } from "../../src/interchange/mlx/node/adapter-folder.js";
import { mlxAdapter } from "../../src/interchange/mlx/write-adapter.js";
import type { Adapter } from "../../src/lora/adapter.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { readFittingAdapter } from "../../src/workflows/node/adapter-place.js";
import { appliedTo } from "../../src/workflows/node/applied-adapter.js";
import { runExport } from "../../src/workflows/node/export-run.js";
import { runInspect } from "../../src/workflows/node/inspect-run.js";
import { openModel } from "../../src/workflows/node/open-model.js";
import { relativeError } from "../support/compare.js";
import { randomAdapter } from "../support/gguf-adapter.js";
import { golden, goldenPath } from "../support/golden.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "../workflows/support.js";

// mlx-lm saved these adapters and computed these logits (tests/golden/mlx_adapters.py). That it reads what is written here, and gives
// the logits, .ci/run sees (tests/golden/check_mlx.py).
const mlx = golden<{ ids: number[]; base: number[]; lora: number[]; dora: number[] }>("mlx/logits.json");
const folderOf = (kind: string) => goldenPath(`mlx/${kind}`);

/** Logits [V] of the small model behind the golden's last token. */
async function logits(adapter: Adapter): Promise<Float32Array> {
  const { model, checkpoint, compile } = await openModel(TINY_CHAT, { target: "cpu" });
  const options = { model, adapter: await appliedTo({ model, checkpoint }, adapter), maxPositions: mlx.ids.length };
  const program = await GenerationProgram.compile(nodeEngine, options, compile);
  const values = await program.step(program.cache(1, mlx.ids.length), [mlx.ids]);
  await program.release();
  return Float32Array.from(values);
}

describe.each(["lora", "dora"] as const)("an adapter of mlx-lm: %s", (kind) => {
  // Proves mlx-adapter in: mlx-lm's logits
  test("gives mlx-lm's logits", async () => {
    const { adapter } = await readFittingAdapter(folderOf(kind), await openModel(TINY_CHAT, { target: "cpu" }));
    expect(relativeError(mlx.base, mlx[kind])).toBeGreaterThan(0.01);
    expect(relativeError(await logits(adapter), mlx[kind])).toBeLessThan(1e-4);
  });

  // Proves mlx-adapter out: its own adapters come back bit for bit
  test("is written as mlx-lm wrote it", async () => {
    const out = join(await temporaryFolder(), "out");
    const result = await runExport({ model: TINY_CHAT, adapter: folderOf(kind), to: "mlx", out }, fakeContext());
    expect(result).toMatchObject({ out, files: ["adapter_config.json", "adapters.safetensors"], layers: 3 });
    const tensorsIn = async (folder: string) => {
      const checkpoint = await openSafetensorsFile(join(folder, "adapters.safetensors"));
      const read = async (name: string) => [name, checkpoint.tensors.get(name)?.shape, await checkpoint.readFloat32(name)] as const;
      return Promise.all([...checkpoint.tensors.keys()].sort().map(read));
    };
    expect(await tensorsIn(out)).toEqual(await tensorsIn(folderOf(kind)));
    const config = async (folder: string) => JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
    const theirs = await config(folderOf(kind));
    const { keys, ...parameters } = theirs.lora_parameters;
    expect(await config(out)).toEqual({
      fine_tune_type: kind,
      num_layers: theirs.num_layers,
      lora_parameters: { ...parameters, keys: keys.toSorted() },
    });
  });

  test("is inspected like any other", async () => {
    expect(await runInspect({ directory: folderOf(kind) }, fakeContext())).toMatchObject({ rank: 3, scale: 1.5, baseModel: "tiny-chat" });
  });
});

describe("what mlx-lm has no form for", () => {
  test("ranks and strengths of layers, and layers that are left out, are filled up", async () => {
    const { model } = await openModel(TINY_CHAT, { target: "cpu" });
    const whole = randomAdapter(model, { rankPattern: { q_proj: 2 }, alphaPattern: { v_proj: 3 } });
    const layers = whole.layers.filter(({ name }) => name !== "model.layers.1.mlp.up_proj" && !name.includes("layers.0.mlp"));
    const adapter = { ...whole, layers };
    const form = mlxAdapter(adapter, model);
    expect(form.config.num_layers).toBe(2);
    const out = join(await temporaryFolder(), "out");
    await mkdir(out);
    await writeMlxFolder(out, form);
    const read = await readMlxFolder(out);
    expect(new Set(read.layers.map(({ rank }) => rank))).toEqual(new Set([4]));
    expect(relativeError(await logits(read), await logits(adapter))).toBeLessThan(1e-5);
  });

  test.each<[string, (adapter: Adapter) => Adapter, RegExp]>([
    [
      "a head",
      (adapter) => ({ ...adapter, trained: [{ name: "score.weight", shape: [1], values: new Float32Array(1) }] }),
      /score\.weight: trained whole/,
    ],
    [
      "another method",
      (adapter) => ({ ...adapter, config: { ...adapter.config, method: "olora" } }),
      /olora's, where mlx-lm knows LoRA and DoRA/,
    ],
    [
      "another model's names",
      (adapter) => ({ ...adapter, layers: adapter.layers.map((layer) => ({ ...layer, name: `transformer.${layer.name}` })) }),
      /transformer\.model\.layers\.0\.\S+ is none of model\.layers/,
    ],
  ])("%s is refused with the way out", async (_name, change, message) => {
    const { model } = await openModel(TINY_CHAT, { target: "cpu" });
    const adapter = change(randomAdapter(model));
    expect(() => mlxAdapter(adapter, model)).toThrow(message);
    expect(() => mlxAdapter(adapter, model)).toThrow("Fold it into its model instead: `lorikeet merge`.");
  });
});

test("damaged folders of mlx-lm are refused with what is wrong", async () => {
  const folder = join(await temporaryFolder(), "mlx");
  await cp(folderOf("lora"), folder, { recursive: true });
  expect((await readdir(folder)).sort()).toEqual(["adapter_config.json", "adapters.safetensors"]);
  const config = JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
  const write = (value: unknown) => writeFile(join(folder, "adapter_config.json"), JSON.stringify(value));
  await write({ ...config, lora_parameters: { ...config.lora_parameters, rank: 5 } });
  await expect(readMlxFolder(folder)).rejects.toThrow(/rank 5 needs \[inputs, 5\] and \[5, outputs\]/);
  await write({ ...config, fine_tune_type: "full" });
  await expect(readMlxFolder(folder)).rejects.toThrow(/not one of mlx-lm's LoRA or DoRA/);
  await write({ ...config, fine_tune_type: "dora" });
  await expect(readMlxFolder(folder)).rejects.toThrow(/m is missing; DoRA needs \d+ values/);
  await writeFile(join(folder, "adapter_config.json"), "{");
  await expect(readMlxFolder(folder)).rejects.toThrow(/cannot be read as JSON/);
});
