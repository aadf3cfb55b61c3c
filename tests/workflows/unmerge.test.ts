import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { readLanguageModel } from "../../src/models/index.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import { openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { approximateBase } from "../../src/workflows/node/approximate-base.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { describeModel } from "../../src/workflows/node/open-model.js";
import { runUnmerge } from "../../src/workflows/node/unmerge-run.js";
import { goldenPath } from "../support/golden.js";
import { fakeContext, TINY_CHAT, temporaryFolder } from "./support.js";

// Merging and taking out again, as a person asks for it. Every variant and type is in tests/lora/restoring.test.ts.

const adapter = join(TINY_CHAT, "adapter");
const GGUF = join(TINY_CHAT, "tiny-chat.gguf");
/** What a base's folder has that Lorikeet reads. */
const folderFiles = [
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
];

const same = async (one: string, other: string) => (await readFile(one)).equals(await readFile(other));

/** The tiny model as a GGUF in blocks. */
async function quantisedBase(dtype: "q4_0" | "q4_1" | "q5_1" | "q8_0"): Promise<string> {
  const out = join(await temporaryFolder(), `${dtype}.gguf`);
  await runMerge({ model: GGUF, adapter, dtype, out }, fakeContext());
  return out;
}

// Proves merged-model in: every file byte for byte, of folders and GGUF
test("a folder: merged with --restorable, every file of the base comes back byte for byte, and nothing else", async () => {
  const folder = await temporaryFolder();
  const merged = join(folder, "merged");
  const { record, bytes, files } = await runMerge({ model: TINY_CHAT, adapter, out: merged, restorable: true }, fakeContext());
  expect(record?.folder).toBe(join(merged, "unmerge"));
  expect(await readdir(join(merged, "unmerge"))).toEqual(["base.bin", "base.json"]);
  expect(record?.bytes).toBeGreaterThan(1000);
  expect(record?.bytes).toBeLessThan(0.5 * bytes);
  expect(files).not.toContain("unmerge"); // and so not counted as the model's
  await describeModel(merged); // the record does not disturb it
  expect(await readFile(join(merged, "unmerge", "base.json"), "utf8")).not.toContain(join(TINY_CHAT, ".."));

  const context = fakeContext();
  const result = await runUnmerge({ merged, adapter, out: join(folder, "base") }, context);
  expect(result).toEqual({ out: join(folder, "base"), files: folderFiles, bytes: expect.any(Number), layers: 14, notes: [] });
  expect((await readdir(result.out)).sort()).toEqual(folderFiles);
  for (const file of folderFiles) expect([file, await same(join(result.out, file), join(TINY_CHAT, file))]).toEqual([file, true]);
  expect(context.events.at(-1)).toMatchObject({ task: "restoring the base", unit: "bytes" });
});

test.each(["f32", "bf16", "q8_0"] as const)("a folder that became a GGUF (%s) is a folder again", async (dtype) => {
  const folder = await temporaryFolder();
  await runMerge({ model: TINY_CHAT, adapter, to: "gguf", dtype, out: join(folder, "m"), restorable: true }, fakeContext());
  expect(await readdir(join(folder, "m"))).toEqual(["Modelfile", "model.gguf", "unmerge"]);
  const out = join(folder, "base");
  await runUnmerge({ merged: join(folder, "m"), adapter, out }, fakeContext());
  for (const file of folderFiles) expect([file, await same(join(out, file), join(TINY_CHAT, file))]).toEqual([file, true]);
  const asFile = runUnmerge({ merged: join(folder, "m", "model.gguf"), adapter, out: join(folder, "base.gguf") }, fakeContext());
  await expect(asFile).rejects.toThrow("is a folder of safetensors: give --out the name of a folder, without .gguf.");
});

test("a GGUF that became a folder is that GGUF again", async () => {
  const folder = await temporaryFolder();
  await runMerge({ model: GGUF, adapter, out: join(folder, "m"), restorable: true }, fakeContext());
  const out = join(folder, "base.gguf");
  expect(await runUnmerge({ merged: join(folder, "m"), adapter, out }, fakeContext())).toMatchObject({ out, files: ["base.gguf"] });
  expect(await same(out, GGUF)).toBe(true);
  await expect(runUnmerge({ merged: join(folder, "m"), adapter, out }, fakeContext())).rejects.toThrow(/base\.gguf exists already/);
  const asFolder = await runUnmerge({ merged: join(folder, "m"), adapter, out: join(folder, "again") }, fakeContext());
  expect(asFolder.files).toEqual(["tiny-chat.gguf"]);
});

test.each([
  ["q4_1", "f16"],
  ["q4_0", "base"],
  ["q5_1", "q8_0"],
  ["q8_0", "bf16"],
] as const)("a base in blocks (%s), merged as %s, comes back byte for byte", async (type, dtype) => {
  const base = await quantisedBase(type);
  const folder = await temporaryFolder();
  const merged = join(folder, "merged.gguf");
  const { record } = await runMerge({ model: base, adapter, dtype, out: merged, restorable: true }, fakeContext());
  expect(record?.folder).toBe(join(folder, "merged.unmerge"));
  const out = join(folder, "base.gguf");
  await runUnmerge({ merged, adapter, out }, fakeContext());
  expect(await same(out, base)).toBe(true);
});

test("without the record it says what is lost and what to do; --approximate stays within the distance that it prints", async () => {
  const folder = await temporaryFolder();
  for (const [dtype, least, most] of [
    ["f32", 0, 1e-6],
    ["bf16", 1e-5, 0.05],
  ] as const) {
    const merged = join(folder, dtype);
    await runMerge({ model: TINY_CHAT, adapter, dtype, out: merged }, fakeContext());
    const out = join(folder, `${dtype}-base`);
    await expect(runUnmerge({ merged, adapter, out }, fakeContext())).rejects.toThrow(
      /cannot be unmerged exactly: .*unmerge is not there, which lorikeet merge writes with --restorable.*\n- If the base is still at hand.*\n- --approximate subtracts/,
    );
    const { approximate } = await runUnmerge({ merged, adapter, out, approximate: true }, fakeContext());
    const [base, found] = [await describeModel(TINY_CHAT), await describeModel(out)];
    let [distance, largest] = [0, 0];
    for (const { name } of base.model.linearGroups.flat()) {
      const before = await base.checkpoint.readFloat32(`${name}.weight`);
      const after = await found.checkpoint.readFloat32(`${name}.weight`);
      for (const [at, value] of before.entries()) distance = Math.max(distance, Math.abs(value - after[at]!));
      largest = Math.max(largest, ...after.map(Math.abs));
    }
    expect(distance).toBeGreaterThan(least);
    expect(distance).toBeLessThanOrEqual(approximate!.largestDistance);
    expect(approximate!.largestDistance).toBeLessThan(most);
    expect(approximate!.largestWeight / largest).toBeCloseTo(1, 2);
  }
  const blocks = join(folder, "blocks.gguf");
  await runMerge({ model: TINY_CHAT, adapter, dtype: "q8_0", out: blocks }, fakeContext());
  const fromBlocks = runUnmerge({ merged: blocks, adapter, out: join(folder, "x"), approximate: true }, fakeContext());
  await expect(fromBlocks).rejects.toThrow(/is stored in blocks \(Q8_0\): what was rounded away is as large as the change/);
});

test("a record of another merge, another adapter, no merged model, no room for the record: refused, and nothing is left behind", async () => {
  const folder = await temporaryFolder();
  const [one, other] = [join(folder, "one"), join(folder, "other")];
  await runMerge({ model: TINY_CHAT, adapter, out: one, restorable: true }, fakeContext());
  const retrained = join(folder, "retrained");
  await mkdir(retrained);
  for (const file of await readdir(adapter)) await copyFile(join(adapter, file), join(retrained, file));
  const weights = join(retrained, "adapter_model.safetensors");
  const bytes = await readFile(weights);
  bytes[bytes.length - 2]! ^= 1;
  await writeFile(weights, bytes);
  await runMerge({ model: TINY_CHAT, adapter: retrained, out: other, restorable: true }, fakeContext());

  const out = join(folder, "base");
  await expect(runUnmerge({ merged: one, adapter: retrained, out }, fakeContext())).rejects.toThrow(
    /retrained is not the adapter that was folded into/,
  );
  await rm(join(one, "unmerge"), { recursive: true });
  await rename(join(other, "unmerge"), join(one, "unmerge"));
  await expect(runUnmerge({ merged: one, adapter: retrained, out }, fakeContext())).rejects.toThrow(
    /one is not as the merge left it: 1 of \d+ tensors differ/,
  );
  await expect(runUnmerge({ merged: join(folder, "none"), adapter, out }, fakeContext())).rejects.toThrow(
    /none does not exist: give the folder/,
  );
  await mkdir(join(folder, "taken.unmerge"));
  await writeFile(join(folder, "taken.unmerge", "mine.txt"), "");
  const taken = runMerge({ model: TINY_CHAT, adapter, out: join(folder, "taken.gguf"), restorable: true }, fakeContext());
  await expect(taken).rejects.toThrow(/taken\.unmerge is not empty/);
  expect((await readdir(folder)).sort()).toEqual(["one", "other", "retrained", "taken.unmerge"]);
});

test("--approximate is refused for DoRA, whose change depends on W, in words", async () => {
  const folder = goldenPath("qwen2");
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
  const model = readLanguageModel(config);
  const checkpoint = modelCheckpoint(await openSafetensorsFolder(folder), model);
  const described = {
    name: "qwen2",
    path: folder,
    config,
    model,
    checkpoint,
    codec: undefined as never,
    parameters: 0,
    ggufMetadata: undefined,
  };
  const adapter = await readAdapterFolder(goldenPath("variants/dora/adapter"));
  const out = join(await temporaryFolder(), "base");
  await expect(approximateBase({ described, adapter, out, name: "m", context: fakeContext(), notes: [] })).rejects.toThrow(
    "What the adapter changes depends on the base's own weights (dora), and they are not there: its change cannot be subtracted. Take the base, or merge with --restorable.",
  );
});

test("an aborted unmerge leaves nothing behind", async () => {
  const folder = await temporaryFolder();
  const merged = join(folder, "merged");
  await runMerge({ model: TINY_CHAT, adapter, out: merged, restorable: true }, fakeContext());
  const aborted = fakeContext(AbortSignal.abort(new Error("enough")));
  await expect(runUnmerge({ merged, adapter, out: join(folder, "base") }, aborted)).rejects.toThrow("enough");
  expect(await readdir(folder)).toEqual(["merged"]);
});
