import { copyFile, mkdir, mkdtemp, open, readdir, readFile, realpath, rm, symlink, truncate, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type MappedTensor, mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openGguf, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { dequantise } from "../../src/weights/stored-types.js";
import { bits, golden, goldenFolder, sha256 } from "./golden.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lorikeet-mapped-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** The values at the mapped place, read without the code under test. */
async function valuesAt({ folder, file, offset, byteLength, dtype }: MappedTensor): Promise<Float32Array> {
  const bytes = new Uint8Array(byteLength);
  const handle = await open(join(folder, file));
  await handle.read(bytes, 0, byteLength, offset);
  await handle.close();
  return dtype === "float32" ? new Float32Array(bytes.buffer) : dequantise("BF16", bytes, byteLength / 2);
}

const gguf = `${goldenFolder}/tiny-llama.gguf`;

/** A folder as in the Hub's cache: links to files of other names in a folder beside it. */
async function linkedSnapshot(name: string, source: string): Promise<{ folder: string; blobs: string }> {
  const folder = join(root, name, "snapshot");
  const blobs = join(root, name, "blobs");
  await mkdir(folder, { recursive: true });
  await mkdir(blobs);
  const files = (await readdir(source)).filter((file) => file.startsWith("model"));
  for (const file of files) {
    await copyFile(join(source, file), join(blobs, `blob-of-${file}`));
    await symlink(`../blobs/blob-of-${file}`, join(folder, file));
  }
  return { folder, blobs };
}

describe("mapWeights", () => {
  it("leaves F32 and BF16 safetensors where they are, symbolic links resolved", async () => {
    const { folder, blobs } = await linkedSnapshot("stays", new URL("../golden/tiny-llama3", import.meta.url).pathname);
    const cacheFolder = join(root, "cache-stays");
    const checkpoint = await openSafetensorsFolder(folder);
    const mapped = await mapWeights(checkpoint, { cacheFolder, onProgress: () => expect.unreachable("nothing is to be written") });
    expect([...mapped.keys()]).toEqual([...checkpoint.tensors.keys()]);
    for (const [name, place] of mapped) {
      expect(place).toMatchObject({ folder: await realpath(blobs), dtype: "bfloat16" });
      expect(bits(await valuesAt(place))).toEqual(bits(await checkpoint.readFloat32(name)));
    }
  });

  it("converts BF16 where the engine cannot widen it", async () => {
    const checkpoint = await openSafetensorsFolder(new URL("../golden/tiny-llama3", import.meta.url).pathname);
    const cacheFolder = join(root, "cache-float32");
    const mapped = await mapWeights(checkpoint, { cacheFolder, float32Only: true });
    for (const [name, place] of mapped) {
      expect(place).toMatchObject({ folder: cacheFolder, dtype: "float32" });
      expect(bits(await valuesAt(place))).toEqual(bits(await checkpoint.readFloat32(name)));
    }
  });

  it("converts a checkpoint that holds F16 as a whole, since the engine maps files of one folder", async () => {
    const { folder } = await linkedSnapshot("converted", join(goldenFolder, "sharded"));
    const cacheFolder = join(root, "cache-1");
    const checkpoint = await openSafetensorsFolder(folder);
    const mapped = await mapWeights(checkpoint, { cacheFolder });
    expect([...mapped.keys()]).toEqual([...checkpoint.tensors.keys()]);
    for (const [name, place] of mapped) {
      expect(place).toMatchObject({ folder: cacheFolder, dtype: "float32" });
      expect(bits(await valuesAt(place))).toEqual(bits(await checkpoint.readFloat32(name)));
    }
  });

  it("writes a GGUF once, as float32 with q and k in order, and finds it again", async () => {
    const cacheFolder = join(root, "cache-2");
    const progress: { done: number; total: number }[] = [];
    const { checkpoint } = await openGguf(gguf);
    const mapped = await mapWeights(checkpoint, { cacheFolder, onProgress: (at) => progress.push(at) });
    for (const [name, { sha256: expected }] of Object.entries(golden.model.tensors)) {
      expect([name, sha256(await valuesAt(mapped.get(name)!))]).toEqual([name, expected]);
    }
    expect(progress.at(-1)?.done).toBe(progress.at(-1)?.total);
    const again = await mapWeights(checkpoint, { cacheFolder, onProgress: () => expect.unreachable("written twice") });
    expect(again).toEqual(mapped);
    expect(await readdir(cacheFolder)).toHaveLength(1);
  });

  it("writes a damaged cache file again", async () => {
    const cacheFolder = join(root, "cache-3");
    const { checkpoint } = await openGguf(gguf);
    await mapWeights(checkpoint, { cacheFolder });
    const [name = ""] = await readdir(cacheFolder);
    const whole = await readFile(join(cacheFolder, name));
    await truncate(join(cacheFolder, name), 1000);
    await mapWeights(checkpoint, { cacheFolder });
    expect(await readFile(join(cacheFolder, name))).toEqual(whole);
  });

  it("does not take a changed model for the one in the cache", async () => {
    const cacheFolder = join(root, "cache-4");
    const copy = join(root, "copy.gguf");
    await copyFile(gguf, copy);
    await mapWeights((await openGguf(copy)).checkpoint, { cacheFolder });

    // One byte in the middle of a tensor, with the time of change put back: the samples see it.
    const before = await open(copy, "r+");
    const { mtime, atime } = await before.stat();
    const { offset = 0, byteLength = 0 } = (await openGguf(copy)).checkpoint.tensors.get("model.layers.0.mlp.gate_proj.weight") ?? {};
    await before.write(new Uint8Array([1, 2, 3]), 0, 3, offset + byteLength / 2);
    await before.close();
    await utimes(copy, atime, mtime);
    await mapWeights((await openGguf(copy)).checkpoint, { cacheFolder });
    expect(await readdir(cacheFolder)).toHaveLength(2);

    await utimes(copy, atime, new Date(mtime.getTime() + 5000));
    await mapWeights((await openGguf(copy)).checkpoint, { cacheFolder });
    expect(await readdir(cacheFolder)).toHaveLength(3);
  });

  it("stops when asked to, and leaves nothing behind", async () => {
    const cacheFolder = join(root, "cache-5");
    const { checkpoint } = await openGguf(gguf);
    const controller = new AbortController();
    const stopped = mapWeights(checkpoint, { cacheFolder, signal: controller.signal, onProgress: () => controller.abort() });
    await expect(stopped).rejects.toThrow("aborted");
    expect(await readdir(cacheFolder)).toEqual([]);
  });
});
