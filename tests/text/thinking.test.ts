import { beforeAll, describe, expect, test } from "vitest";
import { loadTextFromFolder } from "../../src/text/node/load.js";
import { encodeChat, encodePrompt } from "../../src/text/rendering.js";
import { renderChat } from "../../src/text/template.js";
import type { Message, TextCodec } from "../../src/text/tokenizer.js";
import { golden, goldenPath } from "../support/golden.js";

interface Talk {
  messages: Message[];
  tools?: unknown[];
  variables?: Record<string, unknown>;
}
interface Case {
  template: "qwen3" | "tagged" | "gemma3";
  talk: string;
  text: string;
  prompt: string;
  ids: number[];
  mask?: number[];
}

const { tagged, talks, cases } = golden<{ tagged: string; talks: Record<string, Talk>; cases: Case[] }>("text/chat-templates.json");
const codecs: Partial<Record<Case["template"], TextCodec>> = {};
beforeAll(async () => {
  codecs.qwen3 = await loadTextFromFolder(goldenPath("text/tokenizers/qwen3"));
  codecs.tagged = { ...codecs.qwen3, chatTemplate: tagged };
  codecs.gemma3 = await loadTextFromFolder(goldenPath("text/tokenizers/gemma3"));
});

function talkOf(template: Case["template"], name: string): Talk & { codec: TextCodec } {
  const [codec, talk] = [codecs[template], talks[name]];
  if (codec === undefined || talk === undefined) throw new Error(`no ${template} or ${name}`);
  return { codec, ...talk };
}

/** The learned stretches as text. */
function learnedOf(template: Case["template"], name: string, learnFrom = 0): string[] {
  const { codec, messages, tools, variables } = talkOf(template, name);
  const { ids, supervised } = encodeChat(codec, messages, { tools, variables, learnFrom });
  const runs: number[][] = [];
  ids.forEach((id, at) => {
    if (!supervised[at]) return;
    if (!supervised[at - 1]) runs.push([]);
    runs.at(-1)?.push(id);
  });
  return runs.map((run) => codec.decode(run));
}

describe("tools and thoughts: rendering, ids, prompts and masks of tags equal transformers'", () => {
  test.each(cases)("$template: $talk", ({ template, talk, text, prompt, ids, mask }) => {
    const { codec, messages, tools, variables } = talkOf(template, talk);
    expect(renderChat(codec, messages, { tools, variables })).toBe(text);
    expect(renderChat(codec, messages.slice(0, -1), { tools, variables, addGenerationPrompt: true })).toBe(prompt);
    const encoded = encodeChat(codec, messages, { tools, variables });
    expect(encoded.ids).toEqual(ids);
    if (mask !== undefined) expect(encoded.supervised.map(Number)).toEqual(mask);
    expect(encodePrompt(codec, messages.slice(0, -1), { tools, variables })).toEqual(codec.encode(prompt));
  });
});

describe("what is learned under Qwen 3's template: all that it has to write after the prompt", () => {
  // Checked by hand against the texts that transformers renders.
  test.each([
    ["plain", ["Hi there!<|im_end|>", "<think>\n\n</think>\n\n  No. \n<|im_end|>"]],
    ["system", ["<think>\n\n</think>\n\nHi.<|im_end|>"]],
    // The template leaves the thoughts of earlier turns out.
    ["thoughts", ["2<|im_end|>", "<think>\nTwice two.\n</think>\n\n4<|im_end|>"]],
    ["thoughts in the content", ["<think>\nAdd them.\n</think>\n\n2<|im_end|>"]],
    // The prompt closes the thoughts itself.
    ["no thinking", ["2<|im_end|>"]],
    [
      "calls",
      [
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bergen", "days": 2}}\n</tool_call>\n' +
          '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Köln"}}\n</tool_call><|im_end|>',
        "<think>\n\n</think>\n\nIn Bergen, yes.<|im_end|>",
      ],
    ],
    [
      "thoughts and calls",
      [
        'I look.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call><|im_end|>',
        "Yes.<|im_end|>",
        "<think>\n\n</think>\n\nWelcome.<|im_end|>",
      ],
    ],
  ])("%s", (name, expected) => {
    expect(learnedOf("qwen3", name)).toEqual(expected);
  });

  test("Gemma 3: the answer and its <end_of_turn>", () => {
    expect(learnedOf("gemma3", "plain")).toEqual(["Hi there!<end_of_turn>", "No.<end_of_turn>"]);
  });
});

describe("a template with generation tags", () => {
  test("leaves an answer out that is not to be learned", () => {
    const all = learnedOf("tagged", "calls");
    expect(all).toHaveLength(2);
    expect(learnedOf("tagged", "calls", 2)).toEqual(all.slice(1));
  });

  test("keeps control tokens inside contents as text", () => {
    const { codec } = talkOf("tagged", "plain");
    const messages: Message[] = [
      { role: "user", content: "Say <|im_end|>" },
      { role: "assistant", content: "<|im_end|> it is" },
    ];
    const { ids, supervised } = encodeChat(codec, messages);
    const end = codec.encode("<|im_end|>")[0];
    expect(ids.filter((id) => id === end)).toHaveLength(2);
    expect(codec.decode(ids.filter((_, at) => supervised[at]))).toBe("<|im_start|>assistant\n<|im_end|> it is<|im_end|>\n");
  });
});
