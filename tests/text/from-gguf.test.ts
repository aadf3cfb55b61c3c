import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { textFromGguf } from "../../src/text/from-gguf.js";
import { encodeChat } from "../../src/text/rendering.js";
import { golden } from "../support/golden.js";

const { metadata: sentencePiece } = golden<{ metadata: Record<string, unknown> }>("text/sentencepiece.json");
const byteLevel = {
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": "gpt-2",
  "tokenizer.ggml.tokens": ["a", "b", "ab", "<|im_start|>", "<|im_end|>", "__proto__", "<tool>"],
  "tokenizer.ggml.token_type": [1, 1, 1, 4, 3, 1, 4],
  "tokenizer.ggml.merges": ["a b"],
  "tokenizer.ggml.eos_token_id": 4,
};

const errorOf = (metadata: Record<string, unknown>): string => {
  try {
    textFromGguf(metadata, "model.gguf");
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return (error as InputError).message;
  }
  throw new Error("no error was thrown");
};

describe("a GGUF's tokenizer", () => {
  test("tokens of the form <|…|> steer the model even where they are filed as user-defined; other such words do not", () => {
    const codec = textFromGguf(byteLevel);
    expect(codec.controlTokens.map((token) => token.content)).toEqual(["<|im_start|>", "<|im_end|>"]);
    expect(codec.encode("ab<tool>ab<|im_end|>")).toEqual([2, 6, 2, 4]);
    expect(codec.encode("ab<tool>", { special: false })).toEqual([2, 6]);
    expect(codec.vocabSize).toBe(7);
  });

  test("ends of turn: from the metadata and from the template", () => {
    const template = "{% for m in messages %}{{ m.content + '<|im_start|>' }}{% endfor %}";
    expect(textFromGguf({ ...byteLevel, "tokenizer.chat_template": template }).endOfTurnIds).toEqual([3, 4]);
    expect(textFromGguf({ ...byteLevel, "tokenizer.ggml.eot_token_id": 3n }).endOfTurnIds).toEqual([4, 3]);
  });

  test("opening token: as add_bos_token says, else by the kind of tokenizer", () => {
    const { "tokenizer.ggml.add_bos_token": _, ...silent } = sentencePiece;
    expect(textFromGguf(silent).startIds).toEqual([1]);
    expect(textFromGguf({ ...sentencePiece, "tokenizer.ggml.add_bos_token": false }).startIds).toEqual([]);
    expect(textFromGguf({ ...byteLevel, "tokenizer.ggml.bos_token_id": 3 }).startIds).toEqual([]);
    expect(textFromGguf({ ...byteLevel, "tokenizer.ggml.bos_token_id": 3, "tokenizer.ggml.add_bos_token": true }).startIds).toEqual([3]);
  });

  test("SentencePiece without a space before the first word", () => {
    const codec = textFromGguf({ ...sentencePiece, "tokenizer.ggml.add_space_prefix": false });
    expect(codec.decode(codec.encode(" Hello"))).toBe(" Hello");
    expect(codec.encode("Hello")[0]).not.toBe(textFromGguf(sentencePiece).encode("Hello")[0]);
  });

  test("a character without a token cannot carry a loss: refused, in words", () => {
    const codec = textFromGguf({
      ...byteLevel,
      "tokenizer.chat_template": "{% for m in messages %}{{ m.content + '<|im_end|>' }}{% endfor %}",
    });
    expect(() => encodeChat(codec, [{ role: "assistant", content: "abc" }])).toThrow(/has no token for a part of "abc"/);
  });
});

describe("a GGUF without a usable tokenizer is refused, by what is wrong", () => {
  test.each([
    ["no tokenizer", {}, /"tokenizer.ggml.tokens" should be an array of strings, found nothing/],
    ["tokens of another type", { ...byteLevel, "tokenizer.ggml.tokens": [1, 2] }, /should be an array of strings, found an array of 2/],
    ["no tokens", { ...byteLevel, "tokenizer.ggml.tokens": [], "tokenizer.ggml.token_type": [] }, /has 0 entries; expected 1 to 1000000/],
    [
      "types of another length",
      { ...byteLevel, "tokenizer.ggml.token_type": [1] },
      /"tokenizer.ggml.token_type" should be an array of 7 numbers/,
    ],
    [
      "no merges",
      { ...byteLevel, "tokenizer.ggml.merges": undefined },
      /"tokenizer.ggml.merges" should be an array of strings, found nothing/,
    ],
    [
      "an id outside the vocabulary",
      { ...byteLevel, "tokenizer.ggml.eos_token_id": 7 },
      /"tokenizer.ggml.eos_token_id" should be a token id below 7, found number/,
    ],
    [
      "an unknown splitting rule",
      { ...byteLevel, "tokenizer.ggml.pre": "klingon" },
      /unknown pre-tokenizer "klingon".*known are gpt-2, default/,
    ],
    ["a rule named like a method", { ...byteLevel, "tokenizer.ggml.pre": "constructor" }, /unknown pre-tokenizer "constructor"/],
    ["another kind", { ...byteLevel, "tokenizer.ggml.model": "bert" }, /its tokenizer is of type "bert"; expected "gpt2".* or "llama"/],
    ["no scores", { ...sentencePiece, "tokenizer.ggml.scores": undefined }, /"tokenizer.ggml.scores" is missing/],
    [
      "a template of another type",
      { ...byteLevel, "tokenizer.chat_template": 5 },
      /"tokenizer.chat_template" should be a string, found number/,
    ],
  ])("%s", (_name, metadata, message) => {
    expect(errorOf(metadata)).toMatch(message);
    expect(errorOf(metadata)).toMatch(/^model\.gguf: /);
  });
});
