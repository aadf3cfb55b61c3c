import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mergedWeight } from "../../src/lora/merge.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { companionsOfFolder, copyCompanion, type MergeRequest, mergeCheckpoint } from "../../src/lora/node/merge-checkpoint.js";
import { readModel } from "../../src/models/index.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { dequantise } from "../../src/weights/stored-types.js";
import { encodeValues } from "../../src/weights/written-types.js";
import { golden, goldenPath } from "../support/golden.js";

const model = goldenPath("tiny-llama");
let scratch: string;
let request: Omit<MergeRequest, "out">;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "merge-"));
  request = {
    checkpoint: await openSafetensorsFolder(model),
    model: readModel(golden("tiny-llama/config.json")),
    adapter: await readAdapterFolder(join(model, "adapter")),
    modelName: "tiny-llama",
    companions: await companionsOfFolder(model),
  };
});
afterAll(() => rm(scratch, { recursive: true }));

function largestDifference(x: Float32Array, y: Float32Array): number {
  expect(x.length).toBe(y.length);
  return x.reduce((largest, value, index) => Math.max(largest, Math.abs(value - y[index]!)), 0);
}

describe("a merged weight", () => {
  it.each([
    ["tiny-llama/adapter", "lora/merged.safetensors"],
    ["lora/patterns", "lora/patterns-merged.safetensors"],
  ])("equals PEFT's merge_and_unload (%s)", async (folder, merged) => {
    const adapter = await readAdapterFolder(goldenPath(folder));
    const expected = await openSafetensorsFile(goldenPath(merged));
    expect(adapter.layers.length).toBe(expected.tensors.size);
    for (const layer of adapter.layers) {
      const name = `${layer.name}.weight`;
      const ours = mergedWeight(await request.checkpoint.readFloat32(name), layer, layer);
      expect(largestDifference(ours, await expected.readFloat32(name))).toBeLessThan(1e-6);
    }
  });

  it("is refused for a weight of another size", () => {
    const [layer] = request.adapter.layers;
    expect(() => mergedWeight(new Float32Array(7), layer!, layer!)).toThrow(/its weight has 7 values, the adapter expects/);
  });
});

describe("a merged folder", () => {
  it("holds the merged and the untouched weights, and the model's other files", async () => {
    const out = join(scratch, "merged");
    const progress: number[] = [];
    const result = await mergeCheckpoint({ ...request, out, onProgress: ({ done, total }) => progress.push(done / total) });
    expect(result).toMatchObject({ folder: out, files: ["model.safetensors"], mergedLayers: 14 });
    expect(progress.at(-1)).toBe(1);
    expect((await readdir(out)).sort()).toEqual(["config.json", "generation_config.json", "model.safetensors"]);
    const written = await openSafetensorsFolder(out);
    const expected = await openSafetensorsFile(goldenPath("lora/merged.safetensors"));
    expect([...written.tensors.keys()].sort()).toEqual([...request.checkpoint.tensors.keys()].sort());
    for (const name of written.tensors.keys()) {
      const reference = expected.tensors.has(name) ? expected : request.checkpoint;
      expect(largestDifference(await written.readFloat32(name), await reference.readFloat32(name))).toBeLessThan(1e-6);
    }
  });

  it("is F32 and sharded where it is large", async () => {
    const bf16 = goldenPath("tiny-llama3");
    const out = join(scratch, "sharded");
    const result = await mergeCheckpoint({
      checkpoint: await openSafetensorsFolder(bf16),
      model: readModel(golden("tiny-llama3/config.json")),
      adapter: await readAdapterFolder(join(bf16, "adapter")),
      modelName: "tiny-llama3",
      companions: await companionsOfFolder(bf16),
      out,
      maxShardBytes: 50_000,
    });
    expect(result.files.length).toBeGreaterThan(2);
    expect(result.files[0]).toBe(`model-00001-of-0000${result.files.length}.safetensors`);
    const written = await openSafetensorsFolder(out);
    expect([...written.tensors.values()].every(({ type }) => type === "F32")).toBe(true);
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toMatchObject({ dtype: "float32", model_type: "llama" });
    const index = JSON.parse(await readFile(join(out, "model.safetensors.index.json"), "utf8"));
    expect(index.metadata.total_size).toBe(result.bytes);
    expect(Object.keys(index.weight_map)).toHaveLength(written.tensors.size);
  });

  it.each(["BF16", "F16"] as const)("in %s holds PEFT's merged weights, rounded once", async (type) => {
    const out = join(scratch, type);
    const { files } = await mergeCheckpoint({ ...request, out, type });
    expect(files).toEqual(["model.safetensors"]);
    const written = await openSafetensorsFolder(out);
    const expected = await openSafetensorsFile(goldenPath("lora/merged.safetensors"));
    let [same, all] = [0, 0];
    for (const name of expected.tensors.keys()) {
      expect(written.tensors.get(name)?.type).toBe(type);
      const want = encodeValues(type, await expected.readFloat32(name), name);
      const rounded = dequantise(type, want, want.length / 2);
      const found = await written.readFloat32(name);
      // PEFT's own sums are rounded to float32 before: a value on an edge may fall to the other side.
      const step = type === "BF16" ? 2 ** -7 : 2 ** -10;
      for (const [index, value] of found.entries()) {
        all++;
        same += Number(value === rounded[index]);
        expect(Math.abs(value - rounded[index]!)).toBeLessThanOrEqual(step * Math.abs(value));
      }
    }
    expect(same / all).toBeGreaterThan(0.999);
    const dtype = { BF16: "bfloat16", F16: "float16" }[type];
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toMatchObject({ dtype });
  });

  it("keeps the types of the base where they are asked for", async () => {
    const bf16 = goldenPath("tiny-llama3");
    const out = join(scratch, "original");
    const checkpoint = await openSafetensorsFolder(bf16);
    await mergeCheckpoint({
      ...request,
      checkpoint,
      model: readModel(golden("tiny-llama3/config.json")),
      adapter: await readAdapterFolder(join(bf16, "adapter")),
      companions: await companionsOfFolder(bf16),
      out,
      type: "original",
    });
    const written = await openSafetensorsFolder(out);
    expect([...written.tensors.values()].every(({ type }) => type === "BF16")).toBe(true);
    const untouched = "model.embed_tokens.weight";
    expect(await written.readFloat32(untouched)).toEqual(await checkpoint.readFloat32(untouched));
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toMatchObject({ dtype: "bfloat16" });
  });

  it("has whole numbers as floats where transformers takes nothing else", async () => {
    const out = join(scratch, "floats");
    const text = '{"final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.5, "sliding_window": 4096, "initializer_range": 1.0}';
    await mergeCheckpoint({ ...request, companions: [{ name: "config.json", text }], out });
    expect((await readFile(join(out, "config.json"), "utf8")).split(/\s*\n\s*/)).toEqual([
      "{",
      '"final_logit_softcapping": 30.0,',
      '"attn_logit_softcapping": 50.5,',
      '"sliding_window": 4096,',
      '"initializer_range": 1.0,',
      '"dtype": "float32"',
      "}",
      "",
    ]);
  });

  it("is not written over other files, nor from an adapter that does not fit, nor half", async () => {
    const out = join(scratch, "occupied");
    await mkdir(out);
    await writeFile(join(out, "keep.txt"), "");
    await expect(mergeCheckpoint({ ...request, out })).rejects.toThrow(/occupied is not empty/);
    await expect(mergeCheckpoint({ ...request, out: join(out, "keep.txt") })).rejects.toThrow(/keep\.txt is a file/);
    const foreign = await readAdapterFolder(goldenPath("tiny-llama3/adapter"));
    await expect(mergeCheckpoint({ ...request, adapter: foreign, out: join(scratch, "foreign") })).rejects.toThrow(
      /does not fit the model tiny-llama \(4 mismatches\)/,
    );
    const embedding = request.checkpoint.tensors.get("model.embed_tokens.weight")!;
    const tensors = new Map(request.checkpoint.tensors);
    for (let index = 0; index < 10_000; index++) tensors.set(`${index}`, { ...embedding, name: `${index}`, shape: [2 ** 16, 2 ** 15] });
    const huge = { ...request.checkpoint, tensors };
    await expect(mergeCheckpoint({ ...request, checkpoint: huge, out: join(scratch, "aborted") })).rejects.toThrow(
      /the merged model needs 81920001 MB and 64 MB of room to spare, \d+ MB are free\. Make room or choose a folder on another disk\./,
    );
    const controller = new AbortController();
    const aborted = mergeCheckpoint({
      ...request,
      out: join(scratch, "aborted"),
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(aborted).rejects.toThrow(/aborted/);
    expect((await readdir(scratch)).filter((name) => /foreign|aborted|unfinished/.test(name))).toEqual([]);
  });
});

it("waits for no device or pipe in the place of a file beside the weights", async () => {
  await expect(copyCompanion(tmpdir(), { name: "special_tokens_map.json", path: "/dev/null" })).rejects.toThrow(
    "/dev/null: expected a file, found a folder, device or pipe.",
  );
});
