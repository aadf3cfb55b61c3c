import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadTextFromFolder } from "../../src/text/node/load.js";
import { renderChat } from "../../src/text/template.js";
import { golden, goldenPath } from "../support/golden.js";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-text-"));
  await cp(goldenPath("text/byte-level"), folder, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

const write = (name: string, value: unknown) => writeFile(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
const json = golden<Record<string, unknown>>("text/byte-level/tokenizer.json");
const rendered = async (tools?: unknown[]) => renderChat(await loadTextFromFolder(folder), [{ role: "user", content: "x" }], { tools });

describe("a checkpoint folder", () => {
  test("the template: chat_template.jinja before chat_template.json before tokenizer_config.json", async () => {
    await write("tokenizer_config.json", { eos_token: "<|im_end|>", chat_template: "config" });
    expect(await rendered()).toBe("config");
    await write("chat_template.json", { chat_template: "json" });
    expect(await rendered()).toBe("json");
    await write("chat_template.jinja", "jinja {{ eos_token }}\n");
    expect(await rendered()).toBe("jinja <|im_end|>");
  });

  test("named templates: the one for tools serves conversations with tools", async () => {
    const chat_template = [
      { name: "default", template: "plain" },
      { name: "tool_use", template: "with {{ tools | length }}" },
    ];
    await write("tokenizer_config.json", { chat_template });
    expect([await rendered(), await rendered([]), await rendered([{}])]).toEqual(["plain", "plain", "with 1"]);
  });

  test("ends of turn come from the tokenizer, generation_config.json and config.json", async () => {
    await write("tokenizer_config.json", { eos_token: { content: "<|im_end|>" } });
    await write("generation_config.json", { eos_token_id: [0, 2] });
    await write("config.json", { eos_token_id: 1 });
    expect((await loadTextFromFolder(folder)).endOfTurnIds).toEqual([2, 0, 1]);
  });

  test("opening tokens come from the post-processor alone, as in transformers 5, which does not ask add_bos_token beside a tokenizer.json", async () => {
    const single = [
      { SpecialToken: { id: "<|im_start|>", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "<|im_end|>", type_id: 0 } },
    ];
    const template = { type: "TemplateProcessing", single, pair: [], special_tokens: {} };
    await write("tokenizer.json", { ...json, post_processor: { type: "Sequence", processors: [{ type: "ByteLevel" }, template] } });
    await write("tokenizer_config.json", { bos_token: "<|im_start|>" });
    expect((await loadTextFromFolder(folder)).startIds).toEqual([1]);
    await write("tokenizer_config.json", { bos_token: "<|im_start|>", add_bos_token: false });
    expect((await loadTextFromFolder(folder)).startIds).toEqual([1]);
    await write("tokenizer.json", json);
    await write("tokenizer_config.json", { bos_token: "<|im_start|>", add_bos_token: true });
    expect((await loadTextFromFolder(folder)).startIds).toEqual([]);
  });

  test("merges in the older form (one string each) give the same ids", async () => {
    const before = (await loadTextFromFolder(folder)).encode("Hello there, world");
    const model = json.model as { merges: [string, string][] };
    await write("tokenizer.json", { ...json, model: { ...model, merges: model.merges.map((merge) => merge.join(" ")) } });
    expect((await loadTextFromFolder(folder)).encode("Hello there, world")).toEqual(before);
  });
});

test("a pattern that an engine would go back and forth in for ever is run in time", async () => {
  const split = (expression: string) => ({ type: "Split", pattern: { Regex: expression }, behavior: "Isolated", invert: false });
  const bytes = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  const encoded = async (...steps: object[]) => {
    await write("tokenizer.json", { ...json, pre_tokenizer: { type: "Sequence", pretokenizers: [...steps, bytes] } });
    return (await loadTextFromFolder(folder)).encode(`${"a".repeat(3000)}!`);
  };
  expect(await encoded(split("((a+)+)+$|(a|a)*b"))).toEqual(await encoded());
});

describe("bad folders, by what is wrong", () => {
  const error = () =>
    loadTextFromFolder(folder).then(
      () => "no error",
      (thrown: Error) => `${thrown.name} ${thrown.message.replaceAll(folder, "F")}`,
    );

  test("no tokenizer.json", async () => {
    await rm(join(folder, "tokenizer.json"));
    expect(await error()).toMatch(/^InputError F: has no tokenizer\.json\. Expected a model folder/);
  });

  test("files that are no JSON or hold something else", async () => {
    await write("tokenizer_config.json", "{");
    expect(await error()).toMatch(/^InputError F\/tokenizer_config\.json: is not JSON/);
    await write("tokenizer_config.json", { chat_template: [{ name: "default" }] });
    expect(await error()).toMatch(/"chat_template" should be a string or a list of \{"name", "template"\}/);
    await write("tokenizer.json", [1]);
    expect(await error()).toMatch(/^InputError F\/tokenizer\.json: expected a JSON object/);
  });

  test("tokenizers that cannot be run exactly", async () => {
    await write("tokenizer.json", { ...json, model: { type: "WordLevel", vocab: {} } });
    expect(await error()).toMatch(/expected a "model" of type "BPE", "WordPiece" or "Unigram" with its vocabulary, found "WordLevel"/);
    await write("tokenizer.json", { ...json, model: { type: "Unigram", vocab: [] } });
    expect(await error()).toMatch(/with its vocabulary, found "Unigram"/);
    const split = { type: "Split", pattern: { String: " " }, behavior: "Sideways", invert: false };
    await write("tokenizer.json", { ...json, pre_tokenizer: { type: "Sequence", pretokenizers: [split] } });
    expect(await error()).toMatch(/splits with behaviour "Sideways"; known are removed, isolated, mergedwithprevious/);
    const { vocab } = json.model as { vocab: object };
    await write("tokenizer.json", { ...json, model: { ...(json.model as object), vocab: { ...vocab, x: "constructor" } } });
    expect(await error()).toMatch(/the id of a token should be a whole number from 0; that of "x" is "constructor"/);
    const back = { type: "Split", pattern: { Regex: "(a)\\1" }, behavior: "Isolated" };
    await write("tokenizer.json", { ...json, pre_tokenizer: back });
    expect(await error()).toMatch(/cannot be run here: it refers back to what a group matched/);
    await write("tokenizer.json", { ...json, added_tokens: [{ content: "x", id: -1 }] });
    expect(await error()).toMatch(/added_tokens\[0\] must have a "content" string and an "id" from 0 on/);
    await write("tokenizer.json", { ...json, normalizer: "NFC" });
    expect(await error()).toMatch(/"normalizer" must be null or an object with a "type"/);
  });
});
