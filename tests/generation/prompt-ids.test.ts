import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeRow } from "../../src/data/example.js";
import type { Row } from "../../src/data/row.js";
import { InputError } from "../../src/errors.js";
import { loadTextFromFolder } from "../../src/text/node/load.js";
import type { TextCodec } from "../../src/text/tokenizer.js";
import { promptIds } from "../../src/workflows/node/prompt-ids.js";

let chat: TextCodec;
let bare: TextCodec;
beforeAll(async () => {
  chat = await loadTextFromFolder(fileURLToPath(new URL("../golden/tiny-chat", import.meta.url)));
  bare = { ...chat, chatTemplate: undefined };
});

const conversation = [
  { role: "system", content: "Answer briefly." },
  { role: "user", content: "What is the capital of France?" },
];
const row: Row = { kind: "completion", system: "Answer briefly.", prompt: "What is the capital of France?", completion: "Paris" };

describe.each([
  ["with a chat template", () => chat],
  ["without one", () => bare],
])("a model %s", (_, codec) => {
  test("is asked with the instruction what it was taught with the instruction", () => {
    const { ids, supervised } = encodeRow(codec(), row);
    expect(promptIds(codec(), { messages: conversation })).toEqual(ids.slice(0, supervised.indexOf(true)));
  });

  test("is asked a prompt as a message of the user", () => {
    const { ids, supervised } = encodeRow(codec(), { kind: "completion", prompt: row.prompt, completion: "Paris" });
    const prompt = ids.slice(0, supervised.indexOf(true));
    expect(promptIds(codec(), { prompt: row.prompt })).toEqual(prompt);
    expect(promptIds(codec(), { messages: conversation.slice(1) })).toEqual(prompt);
  });

  test("needs a prompt or messages, not both", () => {
    expect(() => promptIds(codec(), {})).toThrow(new InputError("generate needs either a prompt or messages."));
    expect(() => promptIds(codec(), { prompt: "a", messages: conversation })).toThrow(InputError);
  });
});

test("an instruction that the template leaves out is refused; one that it writes itself is not", () => {
  const turns = "{% if message['role'] != 'system' %}{{ message['content'] }}{% endif %}";
  const deaf = { ...chat, chatTemplate: `{% for message in messages %}${turns}{% endfor %}` };
  expect(() => promptIds(deaf, { messages: conversation })).toThrow(/leaves out the instruction \(the system message\)/);
  expect(promptIds(deaf, { messages: conversation.slice(1) })).toEqual(chat.encode("What is the capital of France?"));

  const own = "{% if messages[0]['role'] != 'system' %}Answer briefly.{% endif %}";
  const polite = { ...chat, chatTemplate: `${own}{% for message in messages %}{{ message['content'] }}{% endfor %}` };
  expect(promptIds(polite, { messages: conversation })).toEqual(promptIds(polite, { messages: conversation.slice(1) }));
});

test("without a template a conversation is refused, and an instruction alone", () => {
  const answered = [...conversation, { role: "assistant", content: "Paris" }, { role: "user", content: "And of Italy?" }];
  expect(() => promptIds(bare, { messages: answered })).toThrow(/no chat template, so it cannot take a conversation/);
  expect(() => promptIds(bare, { messages: conversation.slice(0, 1) })).toThrow(InputError);
});
