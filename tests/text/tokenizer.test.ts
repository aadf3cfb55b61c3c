import { describe, expect, test } from "vitest";
import { buildTextCodec } from "../../src/text/codec.js";
import { textFromGguf } from "../../src/text/from-gguf.js";
import { surroundingTemplate } from "../../src/text/model-input.js";
import { loadTextFromFolder } from "../../src/text/node/load.js";
import { golden, goldenPath } from "../support/golden.js";

interface ByteLevel {
  texts: string[];
  ids: Record<string, number[][]>;
  special: number[][];
  decoded: string[];
}
interface TokenizerFile {
  model: { vocab: Record<string, number>; merges: [string, string][] };
}

const byteLevel = golden<ByteLevel>("text/byte-level.json");

/** GGUF metadata of the small byte-level vocabulary. */
function ggufMetadata(pre: string): Record<string, unknown> {
  const { model } = golden<TokenizerFile>("text/byte-level/tokenizer.json");
  const tokens = Object.entries(model.vocab)
    .sort((a, b) => a[1] - b[1])
    .map(([token]) => token);
  return {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": pre,
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": tokens.map((_, id) => (id < 3 ? 3 : 1)),
    "tokenizer.ggml.merges": model.merges.map((merge) => merge.join(" ")),
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2n,
    "tokenizer.ggml.add_bos_token": false,
  };
}

describe("byte-level BPE equals Python's tokenizers", () => {
  test.each(Object.keys(byteLevel.ids))("from a GGUF whose splitting rule is %s", (pre) => {
    const codec = textFromGguf(ggufMetadata(pre));
    byteLevel.texts.forEach((text, index) => {
      expect({ text, ids: codec.encode(text, { special: false }) }).toEqual({ text, ids: byteLevel.ids[pre]?.[index] });
    });
  });

  test("from a checkpoint folder, with control tokens read as control tokens", async () => {
    const codec = await loadTextFromFolder(goldenPath("text/byte-level"));
    byteLevel.texts.forEach((text, index) => {
      expect({ text, ids: codec.encode(text) }).toEqual({ text, ids: byteLevel.special[index] });
      expect({ text, ids: codec.encode(text, { special: false }) }).toEqual({ text, ids: byteLevel.ids.smollm?.[index] });
    });
  });

  test("decoding gives the text that Python gives, and every text back", () => {
    const codec = textFromGguf(ggufMetadata("gpt-2"));
    byteLevel.texts.forEach((text, index) => {
      const decoded = codec.decode(byteLevel.ids["gpt-2"]?.[index] ?? []);
      expect(decoded).toBe(byteLevel.decoded[index]);
      expect(decoded).toBe(text);
    });
  });

  test("each token's bytes add up to the text, whatever the boundaries asked for", () => {
    const codec = textFromGguf(ggufMetadata("qwen2")); // its NFC shortens some texts
    for (const text of byteLevel.texts) {
      const positions = Array.from({ length: text.length + 1 }, (_, i) => i);
      const aligned = codec.align(text, positions, true);
      expect(aligned.ids).toEqual(codec.encode(text, { special: false }));
      expect(aligned.positions).toEqual([...aligned.positions].sort((a, b) => a - b));
      expect(aligned.positions.at(-1)).toBe(aligned.ends.at(-1) ?? 0);
      expect(aligned.starts.slice(1)).toEqual(aligned.ends.slice(0, -1));
    }
  });

  test("control tokens can be left out of decoded text, unknown ids are skipped", () => {
    const codec = textFromGguf(ggufMetadata("smollm"));
    const ids = codec.encode("<|im_start|>user\nHello<|im_end|>");
    expect(codec.decode(ids)).toBe("<|im_start|>user\nHello<|im_end|>");
    expect(codec.decode([...ids, 99_999], { skipSpecial: true })).toBe("user\nHello");
    expect(codec.decode([])).toBe("");
  });

  test("what the settings say", async () => {
    const codec = await loadTextFromFolder(goldenPath("text/byte-level"));
    expect(codec).toMatchObject({ vocabSize: 640, endOfTurnIds: [2, 0], endOfTextId: 2, startIds: [], chatTemplate: undefined });
    expect(codec.namedTokens).toEqual({ bos_token: "<|im_start|>", eos_token: "<|im_end|>", pad_token: "<|im_end|>" });
    expect(codec.controlTokens.map((token) => token.content)).toEqual(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
  });
});

interface SentencePiece {
  metadata: Record<string, unknown>;
  texts: string[];
  ids: number[][];
  decoded: string[];
}
interface Metaspace {
  texts: string[];
  mixed: string[];
  legacy: number[][];
  legacyDecoded: string[];
  legacyMixed: number[][];
  first: number[][];
  firstMixed: number[][];
  withStart: number[];
}

describe("SentencePiece BPE", () => {
  test("from a GGUF's scores equals SentencePiece's own ids", () => {
    const { metadata, texts, ids, decoded } = golden<SentencePiece>("text/sentencepiece.json");
    const codec = textFromGguf(metadata);
    expect(codec).toMatchObject({ startIds: [1], endOfTurnIds: [2], endOfTextId: 2 });
    texts.forEach((text, index) => {
      expect({ text, ids: codec.encode(text, { special: false }) }).toEqual({ text, ids: ids[index] });
      expect(codec.decode(ids[index] ?? [])).toBe(decoded[index]);
    });
  });

  test("from a folder in Llama 2's form equals Python's tokenizers, also after control tokens", async () => {
    const expected = golden<Metaspace>("text/metaspace.json");
    const codec = await loadTextFromFolder(goldenPath("text/sentencepiece"));
    expected.texts.forEach((text, index) => {
      expect({ text, ids: codec.encode(text) }).toEqual({ text, ids: expected.legacy[index] });
      expect(codec.decode(expected.legacy[index] ?? [], { skipSpecial: true })).toBe(expected.legacyDecoded[index]);
    });
    expected.mixed.forEach((text, index) => {
      expect({ text, ids: codec.encode(text) }).toEqual({ text, ids: expected.legacyMixed[index] });
    });
    expect([...codec.startIds, ...codec.encode(expected.texts[2] ?? "")]).toEqual(expected.withStart);
  });

  test("in the newer form (Metaspace, a space before the first word alone) likewise", () => {
    const expected = golden<Metaspace>("text/metaspace.json");
    const json = golden<Record<string, unknown>>("text/sentencepiece/tokenizer.json");
    const metaspace = { type: "Metaspace", replacement: "\u2581", prepend_scheme: "first", split: false };
    const codec = buildTextCodec(
      { ...json, normalizer: null, pre_tokenizer: metaspace },
      { file: "tokenizer.json", namedTokens: {}, endOfTurnIds: [2], inputTemplate: surroundingTemplate([], []), chatTemplate: undefined },
    );
    expected.texts.forEach((text, index) => {
      expect({ text, ids: codec.encode(text) }).toEqual({ text, ids: expected.first[index] });
    });
    expected.mixed.forEach((text, index) => {
      expect({ text, ids: codec.encode(text) }).toEqual({ text, ids: expected.firstMixed[index] });
    });
  });
});
