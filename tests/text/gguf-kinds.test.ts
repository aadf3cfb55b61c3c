import { describe, expect, test } from "vitest";
import { textFromGguf } from "../../src/text/from-gguf.js";
import { golden } from "../support/golden.js";

interface TokenizerFile {
  added_tokens: { id: number; content: string; special: boolean }[];
  model: { vocab: Record<string, number>; merges: [string, string][] };
}

const { texts } = golden<{ texts: string[] }>("text/tokenizers/texts.json");
const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/** A published tokenizer.json as llama.cpp's converter stores it: tokens by id, their types, merges, or scores in the order of the merges. */
function metadataOf(kind: string, rest: Record<string, unknown>): Record<string, unknown> {
  const { added_tokens, model } = golden<TokenizerFile>(`text/tokenizers/${kind}/tokenizer.json`);
  const named = [...Object.entries(model.vocab), ...added_tokens.map(({ content, id }) => [content, id] as const)];
  const count = Math.max(...named.map(([, id]) => id)) + 1;
  const tokens = Array.from({ length: count }, (_, id) => `[UNUSED_${id}]`);
  const types = new Array<number>(count).fill(tokenTypes.unused);
  for (const [token, id] of named) {
    tokens[id] = token;
    types[id] = /^<0x[0-9A-F]{2}>$/.test(token) ? tokenTypes.byte : tokenTypes.normal;
  }
  for (const { id, special } of added_tokens) types[id] = special ? tokenTypes.control : tokenTypes.userDefined;
  const scores = new Array<number>(count).fill(-1e6);
  model.merges.forEach((merge, rank) => {
    const id = model.vocab[merge.join("")] ?? 0;
    scores[id] = Math.max(scores[id] ?? 0, -rank - 1);
  });
  const order =
    rest["tokenizer.ggml.model"] === "gpt2"
      ? { "tokenizer.ggml.merges": model.merges.map((merge) => merge.join(" ")) }
      : { "tokenizer.ggml.scores": scores };
  return { "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types, ...order, ...rest };
}

const gpt2 = (pre: string) => ({ "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre });
const llama = { "tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default", "tokenizer.ggml.unknown_token_id": 0 };

describe("a GGUF gives the ids that Python's tokenizers gives for the tokenizer.json that it was made from", () => {
  test.each([
    ["llama3", gpt2("llama-bpe")],
    ["qwen3", gpt2("qwen2")],
    ["cl100k", gpt2("dbrx")],
    ["o200k", gpt2("gpt-4o")],
    ["llama2", llama],
    ["gemma3", { ...llama, "tokenizer.ggml.add_space_prefix": false, "tokenizer.ggml.unknown_token_id": 3 }],
  ])("%s", (kind, rest) => {
    const { ids, decoded } = golden<{ ids: number[][]; decoded: string[] }>(`text/tokenizers/${kind}.json`);
    const codec = textFromGguf(metadataOf(kind, rest));
    texts.forEach((text, index) => {
      expect({ text, ids: codec.encode(text) }).toEqual({ text, ids: ids[index] });
      expect(codec.decode(ids[index] ?? [])).toBe(decoded[index]);
    });
  });

  test("Gemma's runs of spaces, written by the converter as spaces, and its turns, filed as words", () => {
    const rest = { ...llama, "tokenizer.ggml.add_space_prefix": false, "tokenizer.ggml.unknown_token_id": 3 };
    const metadata = metadataOf("gemma3", rest);
    const tokens = (metadata["tokenizer.ggml.tokens"] as string[]).map((token) =>
      /^\u2581{2,}$/.test(token) ? token.replaceAll("\u2581", " ") : token,
    );
    const types = (metadata["tokenizer.ggml.token_type"] as number[]).map((type, id) =>
      /_of_turn>$/.test(tokens[id] ?? "") ? tokenTypes.userDefined : type,
    );
    const codec = textFromGguf({ ...metadata, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types });
    const { ids } = golden<{ ids: number[][] }>("text/tokenizers/gemma3.json");
    texts.forEach((text, index) => {
      expect({ text, ids: codec.encode(text) }).toEqual({ text, ids: ids[index] });
    });
    expect(codec.controlTokens.map((token) => token.content)).toEqual(expect.arrayContaining(["<start_of_turn>", "<end_of_turn>"]));
  });
});

describe("what a pre-tokenizer's name says where the metadata are silent", () => {
  const small = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b", "<s>"],
    "tokenizer.ggml.token_type": [1, 1, 3],
    "tokenizer.ggml.merges": [],
    "tokenizer.ggml.bos_token_id": 2,
  };
  test.each([
    ["llama-bpe", [2]],
    ["tekken", [2]],
    ["qwen2", []],
    ["dbrx", []],
  ])("%s opens texts with %j", (pre, opening) => {
    expect(textFromGguf({ ...small, "tokenizer.ggml.pre": pre }).startIds).toEqual(opening);
    expect(textFromGguf({ ...small, "tokenizer.ggml.pre": pre, "tokenizer.ggml.add_bos_token": false }).startIds).toEqual([]);
  });
});
