import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readSentenceFiles } from "../../src/workflows/node/sentence-files.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-sentences-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(files: Readonly<Record<string, unknown>>): Promise<void> {
  await mkdir(join(folder, "1_Pooling"));
  for (const [name, value] of Object.entries(files)) await writeFile(join(folder, name), JSON.stringify(value));
}

const modules = (...types: string[]) =>
  types.map((type, index) => ({ idx: index, path: index === 0 ? "" : `${index}_${type}`, type: `x.models.${type}` }));

describe("the files of sentence-transformers", () => {
  test("say how states are pooled, whether vectors are normalised, and how long texts may be", async () => {
    await write({
      "modules.json": modules("Transformer", "Pooling"),
      "1_Pooling/config.json": { word_embedding_dimension: 8, pooling_mode_cls_token: true, pooling_mode_mean_tokens: false },
      "sentence_bert_config.json": { max_seq_length: 96, do_lower_case: false },
    });
    expect(await readSentenceFiles(folder)).toEqual({ pooling: "first", normalised: false, maxLength: 96 });
  });

  test("may name the mode in the newer spelling", async () => {
    await write({ "modules.json": modules("Transformer", "Pooling", "Normalize"), "1_Pooling/config.json": { pooling_mode: "lasttoken" } });
    expect(await readSentenceFiles(folder)).toEqual({ pooling: "last", normalised: true, maxLength: undefined });
  });

  test("may be absent: the mean is taken then", async () => {
    expect(await readSentenceFiles(folder)).toEqual({ pooling: "mean", normalised: false, maxLength: undefined });
  });

  test.each([
    [
      { "modules.json": modules("Transformer", "Pooling", "Dense") },
      "the model has Dense; supported are Transformer, Pooling and Normalize",
    ],
    [{ "modules.json": modules("Transformer") }, "the model has no Pooling"],
    [{ "modules.json": modules("Transformer", "Pooling") }, "config.json is missing: it says how hidden states become a vector"],
    [
      { "modules.json": modules("Transformer", "Pooling"), "1_Pooling/config.json": { pooling_mode_max_tokens: true } },
      "the pooling pooling_mode_max_tokens is not supported; supported are cls, mean and lasttoken, one alone",
    ],
    [{ "modules.json": [{ path: "../..", type: "Pooling" }] }, '"../.." is no name of a folder'],
    [{ "modules.json": { a: 1 } }, "is not what sentence-transformers writes"],
  ])("are refused where they ask for what is not supported: %j", async (files, message) => {
    await write(files);
    await expect(readSentenceFiles(folder)).rejects.toThrow(message);
  });
});
