import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { companionsOfFolder, type FolderType, mergeCheckpoint, writeModel } from "../../src/lora/node/merge-checkpoint.js";
import { BaseRestorer, checkRestorable, openBaseRecord } from "../../src/lora/restoring/node/restore-base.js";
import { writeBaseRecord } from "../../src/lora/restoring/node/write-record.js";
import { tiedPlaces } from "../../src/lora/whole-tensors.js";
import { readLanguageModel } from "../../src/models/index.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import { writeStreamAtomic } from "../../src/weights/node/atomic-file.js";
import { openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { goldenPath } from "../support/golden.js";

// Adapters are folded in and taken out again: every file of the base must be what it was, byte for byte.

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "restoring-"));
});
afterAll(() => rm(scratch, { recursive: true }));

async function open(folder: string) {
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
  const model = readLanguageModel(config);
  return { folder, model, checkpoint: modelCheckpoint(await openSafetensorsFolder(folder), model) };
}

const digestsOf = async (folder: string, files: readonly string[]) =>
  Object.fromEntries(
    await Promise.all(
      files.map(async (file) => [
        file,
        createHash("sha256")
          .update(await readFile(join(folder, file)))
          .digest("hex"),
      ]),
    ),
  );

interface Way {
  readonly type?: FolderType | "original";
  readonly maxShardBytes?: number;
}

let runs = 0;

/** Merges, records, restores, and compares every file of weights and what is beside it. Gives back how large the record is beside the model. */
async function thereAndBack(base: string, adapterFolder: string, { type = "original", maxShardBytes }: Way = {}): Promise<number> {
  const { model, checkpoint } = await open(base);
  const adapter = await readAdapterFolder(adapterFolder);
  const name = `run-${runs++}`;
  const { folder, bytes, untied } = await mergeCheckpoint({
    checkpoint,
    model,
    adapter,
    out: join(scratch, name, "merged"),
    modelName: base,
    companions: await companionsOfFolder(base),
    type,
    ...(maxShardBytes === undefined ? {} : { maxShardBytes }),
  });
  const record = join(scratch, name, "record");
  await mkdir(record);
  const merged = await open(folder);
  const size = await writeBaseRecord(record, {
    base: { name: base, kind: "folder", path: base, checkpoint },
    merged: merged.checkpoint,
    table: tiedPlaces(model)[0],
    adapter,
    adapterName: adapterFolder,
  });
  expect(untied ? merged.model.head : model.head).toBe(merged.model.head);

  const again = await readAdapterFolder(adapterFolder);
  const opened = (await openBaseRecord(record))!;
  await checkRestorable(opened, merged.checkpoint, again, { name: folder, adapterName: adapterFolder });
  const restorer = new BaseRestorer(opened, merged.checkpoint, again);
  const restored = join(scratch, name, "restored");
  await mkdir(restored);
  for (const file of opened.record.files)
    await writeStreamAtomic(join(restored, file.name), (sink) => restorer.write(file, sink, () => undefined));
  const files = (await readdir(base)).filter(
    (file) => /\.safetensors$|\.index\.json$|^config\.json$|tokenizer/.test(file) && !file.startsWith("golden"),
  );
  expect(files.length).toBeGreaterThan(1);
  expect(await digestsOf(restored, files)).toEqual(await digestsOf(base, files));
  return size / bytes;
}

// Proves merged-model in: every variant and type, bit for bit
describe("every variant comes out bit for bit", () => {
  test.each([
    ...["rslora", "patterns", "lora-plus", "lora-fa", "dora", "dora-rslora", "pissa", "pissa-patterns", "olora", "eva", "eva-rslora"],
    ...["vera", "vera-plus", "adalora", "bias", "bias-lora-only", "lora-bias", "modules", "modules-table", "modules-tied"],
    ...["embedding", "embedding-head", "embedding-tied", "head", "tokens"],
  ])("%s", async (variant) => {
    const share = await thereAndBack(goldenPath("qwen2"), goldenPath(`variants/${variant}/adapter`));
    expect(share).toBeGreaterThan(0);
  });
});

describe("every type of base and of merged model, with shards and tied heads", () => {
  const types = ["F32", "BF16", "F16"] as const;
  const adapter = () => goldenPath("tiny-llama/adapter");

  /** The tiny Llama in another type, as a base of its own. */
  async function baseIn(type: FolderType, maxShardBytes = 2e9): Promise<string> {
    const source = goldenPath("tiny-llama");
    const { model, checkpoint } = await open(source);
    const none = { ...(await readAdapterFolder(adapter())), layers: [] };
    const out = join(scratch, `base-${type}-${maxShardBytes}`);
    const companions = await companionsOfFolder(source);
    await rm(out, { recursive: true, force: true });
    await writeModel({ checkpoint, model, adapter: none, out, modelName: "tiny", companions, type, maxShardBytes });
    return out;
  }

  test.each(types.flatMap((base) => types.map((type) => [base, type] as const)))("%s merged into %s", async (base, type) => {
    const share = await thereAndBack(await baseIn(base), adapter(), { type });
    // The adapter is strong, and of so small a model header and configuration count too; what a narrower type drops is much more.
    const fractions = { F32: 23, F16: 10, BF16: 7 };
    if (fractions[type] < fractions[base]) expect(share).toBeGreaterThan(0.5);
    else expect(share).toBeLessThan(0.3);
  });

  test("sharded, and merged into other shards", async () => {
    await thereAndBack(goldenPath("tiny-llama3"), goldenPath("tiny-llama3/adapter"), { maxShardBytes: 20_000 });
    await thereAndBack(await baseIn("BF16", 15_000), adapter());
  });

  test("matrices that the file turns (Conv1D)", async () => {
    await thereAndBack(goldenPath("gpt2"), goldenPath("gpt2/adapter"));
  });
});

describe("what cannot be restored is refused:", () => {
  async function recorded() {
    const base = goldenPath("tiny-llama");
    const { model, checkpoint } = await open(base);
    const adapter = await readAdapterFolder(join(base, "adapter"));
    const name = `run-${runs++}`;
    const out = join(scratch, name);
    const { folder } = await mergeCheckpoint({
      checkpoint,
      model,
      adapter,
      out,
      modelName: base,
      companions: await companionsOfFolder(base),
    });
    const record = join(scratch, `${name}-record`);
    await mkdir(record);
    const merged = (await open(folder)).checkpoint;
    await writeBaseRecord(record, {
      base: { name: "tiny", kind: "folder", path: base, checkpoint },
      merged,
      table: undefined,
      adapter,
      adapterName: "mine",
    });
    return { folder, record, merged, adapter };
  }
  const names = { name: "merged", adapterName: "other" };

  test("another adapter, down to the last bit of a number", async () => {
    const { record, merged, adapter } = await recorded();
    const opened = (await openBaseRecord(record))!;
    const [first, ...rest] = adapter.layers;
    const moved = first!.b.slice();
    moved[3]! *= 1 + 2 ** -23;
    await expect(checkRestorable(opened, merged, { ...adapter, layers: [{ ...first!, b: moved }, ...rest] }, names)).rejects.toThrow(
      "other is not the adapter that was folded into merged: that was mine (14 layers), and its numbers were others.",
    );
    await expect(checkRestorable(opened, merged, { ...adapter, layers: [{ ...first!, scale: 3 }, ...rest] }, names)).rejects.toThrow(
      /not the adapter/,
    );
    await checkRestorable(opened, merged, { ...adapter, layers: [...rest, first!] }, names); // the order says nothing
  });

  test("merged weights that have changed since", async () => {
    const { folder, record, adapter } = await recorded();
    const file = join(folder, "model.safetensors");
    const bytes = await readFile(file);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(file, bytes);
    const merged = (await open(folder)).checkpoint;
    await expect(checkRestorable((await openBaseRecord(record))!, merged, adapter, names)).rejects.toThrow(
      /^merged is not as the merge left it: 1 of \d+ tensors differ, such as model\.\S+\. Its base can be restored only from the weights that were written/,
    );
  });

  test("a record that is damaged: cut short, with other bytes, no JSON, with names that lead out of the folder", async () => {
    const { record, merged, adapter } = await recorded();
    const [index, data] = [join(record, "base.json"), join(record, "base.bin")];
    const [text, bytes] = [await readFile(index, "utf8"), await readFile(data)];
    const restoring = async () => {
      const opened = (await openBaseRecord(record))!;
      const restorer = new BaseRestorer(opened, merged, adapter);
      const sink = { write: async () => undefined };
      for (const file of opened.record.files) await restorer.write(file, sink, () => undefined);
    };
    await restoring();
    await writeFile(data, bytes.subarray(0, bytes.length - 9));
    await expect(restoring()).rejects.toThrow(/cut short or damaged/);
    for (const at of [40, Math.floor(bytes.length / 2), bytes.length - 40]) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 0x10;
      await writeFile(data, changed);
      await expect(restoring()).rejects.toThrow(/damaged/);
    }
    await writeFile(data, bytes);
    await writeFile(index, text.replace('"version":1', '"version":2'));
    await expect(restoring()).rejects.toThrow(/is no record of a base that this version reads \(version: .*later version/);
    await writeFile(index, text.slice(1));
    await expect(restoring()).rejects.toThrow("is not JSON: the record of the base is damaged");
    for (const name of ["../model.safetensors", "/etc/passwd", "a/../../b", ".hidden", "a\\\\b"]) {
      await writeFile(index, text.replace('"name":"model.safetensors"', `"name":"${name}"`));
      await expect(restoring(), name).rejects.toThrow(/is no record of a base/);
    }
    await writeFile(index, text.replaceAll('"how":"corrected"', '"how":"same"'));
    await expect(restoring()).rejects.toThrow(/did not come back as it was/);
  });
});
