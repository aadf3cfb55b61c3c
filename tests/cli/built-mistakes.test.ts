import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lorikeet } from "../support/built-command.js";
import { goldenPath } from "../support/golden.js";
import { jsonlFile, TINY_CHAT, temporaryFolder } from "../workflows/support.js";

// Mistakes of a user, told by the built command: exit code 2, the place and the reason, and nothing written.

const good = { prompt: "What is 1?", completion: "1" };

test("rows that cannot be used are each named by file and line, and --out is not made", async () => {
  const data = await jsonlFile([good, { prompt: "What is 2?" }, good, ["What", "is", "4"]]);
  const out = join(await temporaryFolder(), "run");
  const { status, stdout, stderr } = lorikeet("train", "--model", TINY_CHAT, "--data", data, "--out", out);
  expect(stderr.trimEnd().split("\n")).toEqual([
    `error: ${data}:2: expected "completion" beside "prompt", found "prompt"`,
    `${data}:4: expected an object, found a list`,
  ]);
  expect(status).toBe(2);
  expect(stdout).toBe("");
  expect(existsSync(out)).toBe(false);
});

test("a file without rows, and one that is not there", async () => {
  const empty = await jsonlFile([]);
  const out = join(await temporaryFolder(), "run");
  const withData = (data: string) => lorikeet("train", "--model", TINY_CHAT, "--data", data, "--out", out);
  expect(withData(empty)).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining(`error: ${empty}: has no rows`) });
  const missing = join(await temporaryFolder(), "missing.jsonl");
  expect(withData(missing)).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining(`error: ${missing}`) });
  expect(existsSync(out)).toBe(false);
});

test("an adapter of another model: every mismatch in one message", async () => {
  const adapter = await foreignAdapter();
  const expected = mismatches(adapter);
  expect(expected).toHaveLength(9); // q and o of block 0 have another shape; no layer of block 7 exists
  const question = await jsonlFile([good]);
  for (const command of [
    ["generate", "--prompt", "Hi"],
    ["eval", "--data", question],
    ["merge", "--out", join(await temporaryFolder(), "merged")],
  ]) {
    const { status, stdout, stderr } = lorikeet(...command, "--model", TINY_CHAT, "--adapter", adapter);
    const [first, ...lines] = stderr.trimEnd().split("\n");
    expect(first).toMatch(/^error: The adapter does not fit the model .*tiny-chat \(9 mismatches\)\. It was trained for tiny-llama3/);
    expect(lines.map((line) => line.replace(/ \(nearest: .*\)$/, "")).sort()).toEqual(expected);
    expect(status).toBe(2);
    expect(stdout).toBe("");
  }
});

/** The adapter of tiny-llama3, its second block said to be the eighth. */
async function foreignAdapter(): Promise<string> {
  const folder = join(await temporaryFolder(), "adapter");
  cpSync(goldenPath("tiny-llama3/adapter"), folder, { recursive: true });
  const weights = join(folder, "adapter_model.safetensors");
  const renamed = readFileSync(weights).toString("latin1").replaceAll(".layers.1.", ".layers.7.");
  writeFileSync(weights, Buffer.from(renamed, "latin1"));
  const config = join(folder, "adapter_config.json");
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, "utf8")), target_modules: layersOf(header(weights)) }));
  return folder;
}

/** What must be said of an adapter for tiny-chat, by the headers of both files. */
function mismatches(adapter: string): string[] {
  const model = header(join(TINY_CHAT, "model.safetensors"));
  const matrices = header(join(adapter, "adapter_model.safetensors"));
  return layersOf(matrices)
    .flatMap((layer) => {
      const found = model[`${layer}.weight`]?.shape;
      if (found === undefined) return [`- ${layer}: the model has no such layer`];
      const wanted = [
        matrices[`base_model.model.${layer}.lora_B.weight`]?.shape[0],
        matrices[`base_model.model.${layer}.lora_A.weight`]?.shape[1],
      ];
      if (String(found) === String(wanted)) return [];
      return [`- ${layer}: the adapter expects a weight of [${wanted.join(", ")}], the model has [${found.join(", ")}]`];
    })
    .sort();
}

const layersOf = (matrices: object): string[] =>
  Object.keys(matrices).flatMap((key) => /^base_model\.model\.(.*)\.lora_A\.weight$/.exec(key)?.[1] ?? []);

/** The header of a safetensors file: eight bytes of length, and JSON. */
function header(path: string): Record<string, { shape: number[] } | undefined> {
  const bytes = readFileSync(path);
  return JSON.parse(bytes.toString("utf8", 8, 8 + Number(bytes.readBigUInt64LE(0))));
}
