import { gguf } from "@huggingface/gguf";
import { beforeAll, describe, expect, test } from "vitest";
import { textFromGguf } from "../../src/text/from-gguf.js";
import { encodeChat, encodePrompt } from "../../src/text/rendering.js";
import { renderChat } from "../../src/text/template.js";
import type { Message, TextCodec } from "../../src/text/tokenizer.js";
import { golden } from "../support/golden.js";
import { smollm2Path } from "../support/smollm2.js";

interface SmolLm2 {
  texts: string[];
  plain: number[][];
  special: number[][];
  chats: { messages: Message[]; text: string; ids: number[]; prompt: number[] }[];
  hostile: { messages: Message[]; ids: number[] };
}

describe("SmolLM2's real tokenizer, from its GGUF, equals Python's tokenizers", () => {
  const expected = golden<SmolLm2>("text/smollm2.json");
  let codec: TextCodec;
  beforeAll(async () => {
    const path = await smollm2Path();
    const { metadata } = await gguf(path, { allowLocalFile: true });
    codec = textFromGguf(metadata as unknown as Record<string, unknown>, path);
  });

  test("on hard texts, with control tokens read and with control tokens as plain text", () => {
    expected.texts.forEach((text, index) => {
      expect({ text, ids: codec.encode(text, { special: false }) }).toEqual({ text, ids: expected.plain[index] });
      expect({ text, ids: codec.encode(text) }).toEqual({ text, ids: expected.special[index] });
      expect(codec.decode(expected.plain[index] ?? [])).toBe(text);
    });
  });

  test("on conversations rendered by its own template", () => {
    for (const chat of expected.chats) {
      expect(renderChat(codec, chat.messages)).toBe(chat.text);
      expect(encodeChat(codec, chat.messages).ids).toEqual(chat.ids);
      expect(encodePrompt(codec, chat.messages.slice(0, -1))).toEqual(chat.prompt);
    }
  });

  test("on a conversation whose contents hold control tokens", () => {
    const { ids, supervised } = encodeChat(codec, expected.hostile.messages);
    expect(ids).toEqual(expected.hostile.ids);
    const learned = ids.filter((_, i) => supervised[i]);
    expect(codec.decode(learned)).toBe(`${expected.hostile.messages[1]?.content}<|im_end|>`);
  });

  test("its settings", () => {
    expect(codec).toMatchObject({ vocabSize: 49152, endOfTurnIds: [2], endOfTextId: 2, startIds: [] });
    expect(codec.controlTokens).toHaveLength(17);
  });
});
