import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { loadTextFromFolder } from "../../src/text/node/load.js";
import { encodeChat, encodePrompt } from "../../src/text/rendering.js";
import { withinTable } from "../../src/text/within-table.js";
import { goldenPath } from "../support/golden.js";

const codec = await loadTextFromFolder(goldenPath("tiny-chat"));
const said = [
  { role: "user", content: "a b" },
  { role: "assistant", content: "c" },
];

describe("a tokenizer that knows more tokens than the model has rows", () => {
  test("is the same while every row is there", () => {
    expect(withinTable(codec, codec.vocabSize, "m")).toBe(codec);
  });

  test("gives what it gave where no text uses the others", () => {
    const ids = codec.encode("a b");
    const bounded = withinTable(codec, Math.max(...ids) + 1, "m");
    expect(bounded.encode("a b")).toEqual(ids);
  });

  test("names the first token that is beyond, in a text, an input and a stretch", () => {
    const ids = codec.encode("a b");
    const largest = Math.max(...ids);
    const bounded = withinTable(codec, largest, "m");
    const message = `with id ${largest}, but the model's table of embeddings has ${largest} rows`;
    for (const use of [
      () => bounded.encode("a b"),
      () => bounded.encodeInput("a b"),
      () => bounded.align("a b", [], true),
      () => encodePrompt(bounded, said.slice(0, 1)),
    ]) {
      expect(use).toThrow(InputError);
      expect(use).toThrow(/ rows\. The tokenizer belongs to another model/);
    }
    expect(() => bounded.encode("a b")).toThrow(message);
  });

  test("names a control token that the template alone writes", () => {
    const inChat = new Set(encodeChat(codec, said).ids);
    const [control] = codec.controlTokens.filter(({ id }) => inChat.has(id));
    if (control === undefined) throw new Error("the template writes no control token");
    const beyond = { ...codec, controlTokens: codec.controlTokens.map((token) => (token === control ? { ...token, id: 9_000 } : token)) };
    const bounded = withinTable({ ...beyond, vocabSize: 9_001, decode: () => control.content }, codec.vocabSize, "m");
    expect(() => encodeChat(bounded, said)).toThrow(`the token ${JSON.stringify(control.content)} with id 9000`);
  });
});
