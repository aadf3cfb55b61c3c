import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import { jsonLines, lorikeet } from "../support/built-command.js";
import { TINY_CHAT } from "../workflows/support.js";

// What is trained beside the layers of an adapter, or instead of one, as a user of the command asks for it.

let folder: string;
let data: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lorikeet-whole-"));
  data = join(folder, "rows.jsonl");
  const rows = Array.from({ length: 12 }, (_, row) => `${JSON.stringify({ prompt: `number ${row}`, completion: `${row} and ${row}` })}\n`);
  writeFileSync(data, rows.join(""));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const train = (out: string, model: string, ...more: string[]) =>
  lorikeet(
    ...["train", "--model", model, "--data", data, "--out", join(folder, out), "--no-report", "--steps", "2", "--batch-size", "4"],
    ...["--threads", "1", "--json", ...more],
  );
const saved = async (out: string) => {
  const adapter = join(folder, out, "adapter");
  const { tensors } = await openSafetensorsFile(join(adapter, "adapter_model.safetensors"));
  const names = [...tensors.keys()].map((name) => name.replace("base_model.model.", "")).filter((name) => !/lora_[AB]\.weight$/.test(name));
  return { config: JSON.parse(readFileSync(join(adapter, "adapter_config.json"), "utf8")), names: names.sort() };
};

test("--layers takes the table and the head, and --trainable-tokens takes tokens by text and by id", async () => {
  expect(train("table", TINY_CHAT, "--layers", "q_proj,embed_tokens,lm_head").status).toBe(0);
  const table = await saved("table");
  expect(table.config.target_modules.sort()).toEqual(["embed_tokens", "lm_head", "q_proj"]);
  expect(table.names).toEqual(["model.embed_tokens.lora_embedding_A", "model.embed_tokens.lora_embedding_B"]);

  expect(train("tokens", TINY_CHAT, "--layers", "q_proj", "--trainable-tokens", "<|im_start|>,5").status).toBe(0);
  const tokens = await saved("tokens");
  expect(tokens.config.trainable_token_indices).toEqual([1, 5]);
  expect(tokens.names).toEqual(["model.embed_tokens.token_adapter.trainable_tokens_delta"]);
});

test("--modules-to-save and --tie-weights", async () => {
  expect(train("modules", TINY_CHAT, "--layers", "q_proj", "--modules-to-save", "lm_head,model.norm", "--tie-weights").status).toBe(0);
  const { config, names } = await saved("modules");
  expect(config).toMatchObject({ ensure_weight_tying: true });
  expect(names).toEqual(["lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"]);
});

test("--bias, of a model whose layers have some", async () => {
  const model = join(folder, "biased");
  cpSync(TINY_CHAT, model, { recursive: true });
  const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8"));
  writeFileSync(join(model, "config.json"), JSON.stringify({ ...config, model_type: "qwen2" }));
  const { tensors, readFloat32 } = await openSafetensorsFolder(TINY_CHAT);
  const weights = [...tensors.values()].map(({ name, shape }) => ({ name, shape, values: () => readFloat32(name) }));
  const biases = weights.flatMap(({ name, shape: [outputs = 0] }) =>
    /[qkv]_proj\.weight$/.test(name)
      ? [{ name: name.replace("weight", "bias"), shape: [outputs], values: async () => new Float32Array(outputs) }]
      : [],
  );
  const written = await Promise.all(
    [...weights, ...biases].map(async ({ name, shape, values }) => {
      const data = await values();
      return { name, shape, dtype: "F32" as const, data: () => data };
    }),
  );
  await writeSafetensors(join(model, "model.safetensors"), written);
  expect(train("bias", model, "--layers", "q_proj", "--bias", "lora_only").status).toBe(0);
  const found = await saved("bias");
  expect(found.config.bias).toBe("lora_only");
  expect(found.names).toEqual(["model.layers.0.self_attn.q_proj.base_layer.bias", "model.layers.1.self_attn.q_proj.base_layer.bias"]);
});

test("--method full writes a model, which answers", () => {
  const { stdout, status } = train("full", TINY_CHAT, "--method", "full", "--lr", "1e-3");
  expect(status).toBe(0);
  const model = join(folder, "full", "model");
  expect(jsonLines(stdout).at(-1)).toMatchObject({ type: "done", kind: "model", adapter: model });
  expect(existsSync(join(folder, "full", "adapter"))).toBe(false);
  const answer = lorikeet("generate", "--model", model, "--prompt", "number 3", "--max-new-tokens", "4", "--threads", "1");
  expect(answer.status).toBe(0);
});

test.each([
  [["--bias", "all"], /the model has no bias that could be trained \(bias all\)/],
  [["--modules-to-save", "lm_heads"], /the model has no module called "lm_heads"; nearest: lm_head/],
  [["--tie-weights"], /weights shall stay tied, but neither the table of embeddings nor the head is trained/],
  [["--trainable-tokens", "<|tool|>"], /"<\|tool\|>" is \d+ tokens of this tokenizer .*: add it to the tokenizer first/],
  [["--trainable-tokens", "640"], /640 is no id of this tokenizer, whose last is \d+/],
  [["--layers", "embed_tokens", "--lora-plus-ratio", "4"], /model\.embed_tokens is a table of embeddings/],
  [["--method", "full", "--bias", "all"], /--bias belongs to adapters; --method full has none/],
])("%j is refused in words", (options, message) => {
  const { status, stderr } = train("refused", TINY_CHAT, ...options);
  expect(stderr).toMatch(message);
  expect(status).toBe(2);
  expect(existsSync(join(folder, "refused"))).toBe(false);
});
