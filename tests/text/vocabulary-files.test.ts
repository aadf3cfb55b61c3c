import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadTextFromFolder } from "../../src/text/node/load.js";
import { golden } from "../support/golden.js";

interface TokenizerFile {
  added_tokens: { id: number; content: string }[];
  model: { vocab: Record<string, number>; merges: [string, string][] };
}
interface Kind {
  ids: number[][];
  inputs: ({ ids: number[]; typeIds: number[] } | null)[];
  offices: Record<string, number>;
}

const { texts, inputs } = golden<{ texts: string[]; inputs: [string, string | null][] }>("text/tokenizers/texts.json");

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-vocabulary-"));
});
afterEach(() => rm(folder, { recursive: true }));

const write = (name: string, value: unknown) => writeFile(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));

async function expectKind(kind: string): Promise<Kind> {
  const expected = golden<Kind>(`text/tokenizers/${kind}.json`);
  const codec = await loadTextFromFolder(folder);
  texts.forEach((text, index) => {
    expect({ text, ids: codec.encode(text) }).toEqual({ text, ids: expected.ids[index] });
  });
  const { ids, typeIds } = codec.encodeInput(inputs[2]?.[0] ?? "", inputs[2]?.[1] ?? "");
  expect({ ids, typeIds }).toEqual(expected.inputs[2]);
  return { ...expected, offices: { ...codec.officeIds } };
}

describe("folders from before tokenizer.json give the ids of the tokenizer.json that transformers makes of them", () => {
  test("a BERT's vocab.txt, with nothing said of its special tokens", async () => {
    const { model } = golden<TokenizerFile>("text/tokenizers/bert/tokenizer.json");
    const lines = Array.from({ length: Math.max(...Object.values(model.vocab)) + 1 }, (_, id) => `[unused-${id}]`);
    for (const [token, id] of Object.entries(model.vocab)) lines[id] = token;
    await write("vocab.txt", `${lines.join("\n")}\n`);
    await write("config.json", { model_type: "bert" });
    const { offices } = await expectKind("bert");
    expect(offices).toEqual(golden<Kind>("text/tokenizers/bert.json").offices);
  });

  test.each([
    ["roberta", "RobertaTokenizer", {}],
    ["qwen3", "Qwen2Tokenizer", { bos_token: null, eos_token: "<|im_end|>" }],
  ])("vocab.json with merges.txt: %s", async (kind, tokenizer_class, config) => {
    const { model, added_tokens } = golden<TokenizerFile>(`text/tokenizers/${kind}/tokenizer.json`);
    const added = kind === "qwen3" ? Object.fromEntries(added_tokens.map(({ id, ...token }) => [id, token])) : {};
    await write("vocab.json", model.vocab);
    await write("merges.txt", `#version: 0.2\n${model.merges.map((merge) => merge.join(" ")).join("\n")}\n`);
    await write("tokenizer_config.json", { ...config, tokenizer_class, added_tokens_decoder: added });
    const { offices } = await expectKind(kind);
    expect(offices).toMatchObject(golden<Kind>(`text/tokenizers/${kind}.json`).offices);
  });

  test("special_tokens_map.json names tokens that tokenizer_config.json does not", async () => {
    await write("tokenizer.json", golden("text/tokenizers/bert/tokenizer.json"));
    await write("special_tokens_map.json", { pad_token: "[SEP]", cls_token: { content: "[CLS]" } });
    await write("tokenizer_config.json", { pad_token: "[PAD]" });
    expect((await loadTextFromFolder(folder)).officeIds).toEqual({ pad: 0, cls: 101 });
  });

  test("a vocabulary without the tokens that stand around a text is refused", async () => {
    await write("vocab.txt", "[PAD]\na\n");
    await write("config.json", { model_type: "bert" });
    await expect(loadTextFromFolder(folder)).rejects.toThrow(
      /vocab\.txt: the vocabulary lacks the token "\[CLS\]", which stands around texts/,
    );
    await write("config.json", { model_type: "llama" });
    await expect(loadTextFromFolder(folder)).rejects.toThrow(
      /has no tokenizer\.json.*or in place of tokenizer\.json the vocab\.txt of a BERT/,
    );
  });
});
