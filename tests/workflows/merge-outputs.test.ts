import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { outputsText } from "../../src/cli/render/merge.js";
import { runMerge } from "../../src/workflows/node/merge-run.js";
import { golden } from "../support/golden.js";
import { fakeContext, jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";

interface Divergence {
  readonly mean: number;
  readonly largest: number;
  readonly sameToken: number;
}
const theirs = golden<Readonly<Record<"base" | "bf16" | "q8_0", Divergence>> & { readonly tokens: number }>("lora/merge-outputs.json");
const adapter = join(TINY_CHAT, "adapter");

const expectClose = (ours: Divergence, expected: Divergence): void => {
  expect(ours.mean / expected.mean).toBeCloseTo(1, 2);
  expect(ours.largest / expected.largest).toBeCloseTo(1, 2);
  expect(ours.sameToken).toBeCloseTo(expected.sameToken, 2); // a tie of logits may fall either way
};

test.each([
  ["bf16", "merged"],
  ["q8_0", "merged.gguf"],
] as const)("what %s does to predictions is what PyTorch and SciPy find of PEFT's merge", async (dtype, name) => {
  const out = join(await temporaryFolder(), name);
  const { outputs } = await runMerge({ model: TINY_CHAT, adapter, dtype, out, measure: "general" }, fakeContext());
  if (outputs === undefined) throw new Error("nothing was measured");
  expect(outputs).toMatchObject({ texts: "general", tokens: theirs.tokens });
  expectClose(outputs.file, theirs[dtype]);
  expectClose(outputs.base, theirs.base);
  expect(outputsText({ outputs })).toMatch(
    /^What the file predicts for 635 tokens of the general probe.*\nWhat the adapter does to the base/,
  );
});

test("on the answers of a file, an exact merge predicts what base and adapter do; a folder with a GGUF is read as that", async () => {
  const data = await jsonlFile([
    { prompt: "What is the capital of France?", completion: "Paris" },
    { prompt: "And of Spain?", completion: "Madrid" },
  ]);
  const options = { model: TINY_CHAT, adapter, dtype: "f32", to: "gguf", measure: data };
  const { outputs } = await runMerge({ ...options, out: join(await temporaryFolder(), "merged") }, fakeContext());
  expect(outputs).toMatchObject({ texts: data, file: { sameToken: 1 } });
  expect(outputs?.tokens).toBeLessThan(40);
  expect(outputs?.file.mean).toBeLessThan(1e-9);
  expect(outputs?.base.mean).toBeGreaterThan(0.1);
});

test("what cannot be measured is refused before anything is written", async () => {
  const folder = await temporaryFolder();
  const options = { model: TINY_CHAT, adapter, out: join(folder, "merged") };
  await expect(runMerge({ ...options, to: "onnx", measure: "general" }, fakeContext())).rejects.toThrow(
    "options.measure is for a folder or a GGUF",
  );
  await expect(runMerge({ ...options, measure: join(folder, "nothing.jsonl") }, fakeContext())).rejects.toThrow("nothing.jsonl");
  expect(await readdir(folder)).toEqual([]);
});
