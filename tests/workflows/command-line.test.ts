import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lorikeet } from "../support/built-command.js";
import { jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";

// From the command line through the worker's thread to the result, each command a process of its own.

function run(...argv: string[]) {
  const { status, stdout, stderr } = lorikeet(...argv, "--json");
  return { status, stderr, result: status === 0 ? JSON.parse(stdout) : undefined };
}

const adapter = join(TINY_CHAT, "adapter");

test("inspect, data, plan and merge, as a script uses them", async () => {
  const rows = Array.from({ length: 30 }, (_, index) => ({ prompt: `What is ${index}?`, completion: String(index) }));
  const data = await jsonlFile(rows);
  const out = join(await temporaryFolder(), "merged");
  expect(run("inspect", adapter)).toMatchObject({ status: 0, result: { rank: 4, baseModel: "tiny-chat" } });
  expect(run("data", data, "--model", TINY_CHAT)).toMatchObject({ status: 0, result: { rows: 30, train: 20, heldOut: 10 } });
  expect(run("plan", "--model", TINY_CHAT, "--data", data)).toMatchObject({ status: 0, result: { trainExamples: 20, steps: 5 } });
  expect(run("merge", "--model", TINY_CHAT, "--adapter", adapter, "--out", out)).toMatchObject({ status: 0, result: { layers: 14 } });
  expect(existsSync(join(out, "model.safetensors"))).toBe(true);
});

test("rows out of a Parquet file, whose thread is started as it is built", () => {
  expect(run("data", "tests/golden/parquet/plain-snappy-groups.parquet", "--model", TINY_CHAT)).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('plain-snappy-groups.parquet:4: expected "completion" to be a string, found null'),
  });
});

test("merge into shards, and into a GGUF", async () => {
  const folder = await temporaryFolder();
  const merge = (...more: string[]) => run("merge", "--model", TINY_CHAT, "--adapter", adapter, ...more);
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"];
  expect(merge("--out", join(folder, "parts"), "--dtype", "bf16", "--max-shard-size", "50KB")).toMatchObject({
    status: 0,
    result: { files: expect.arrayContaining(shards) },
  });
  expect(merge("--out", join(folder, "m.gguf"), "--dtype", "q8_0")).toMatchObject({ status: 0, result: { files: ["m.gguf"] } });
  expect(merge("--out", join(folder, "n.gguf"), "--max-shard-size", "1GB")).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("--max-shard-size is for a folder: a GGUF is one file"),
  });
  expect(merge("--out", join(folder, "q"), "--dtype", "q8_0", "--max-shard-size", "9")).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("--dtype q8_0 is a form of GGUF: name --out with .gguf"),
  });
  expect(merge("--out", join(folder, "o"), "--to", "onnx", "--dtype", "q4")).toMatchObject({
    status: 0,
    result: {
      files: [
        "config.json",
        "generation_config.json",
        "onnx/model_q4.onnx",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
      ],
    },
  });
  expect(merge("--out", join(folder, "o2"), "--to", "onnx", "--dtype", "f16", "--restorable")).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/--dtype f16 is no form of ONNX: choose f32, q8 or q4[\s\S]*--restorable is for a folder or a GGUF/),
  });
});

test("merge so that it can be undone, and unmerge", async () => {
  const folder = await temporaryFolder();
  const [merged, base] = [join(folder, "merged"), join(folder, "base")];
  const own = ["--adapter", adapter];
  expect(run("merge", "--model", TINY_CHAT, ...own, "--out", merged, "--restorable")).toMatchObject({
    status: 0,
    result: { record: { folder: join(merged, "unmerge") } },
  });
  expect(run("unmerge", merged, ...own, "--out", base)).toMatchObject({ status: 0, result: { layers: 14 } });
  for (const file of ["model.safetensors", "config.json"]) {
    expect(readFileSync(join(base, file)).equals(readFileSync(join(TINY_CHAT, file)))).toBe(true);
  }
  expect(run("unmerge", TINY_CHAT, ...own, "--out", join(folder, "x"))).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("If the base is still at hand"),
  });
});

test("wrong input crosses the worker's border as what it is: exit code 2 and the message", () => {
  const { status, stderr } = run("inspect", join(TINY_CHAT, "../tiny-llama3/adapter/nowhere"));
  expect(status).toBe(2);
  expect(stderr).toMatch(/nowhere does not exist\. Give the folder of an adapter/);
});
