import { join } from "node:path";
import { loadTextFromFolder } from "../../../src/text/node/load.js";
import { encodeChat } from "../../../src/text/rendering.js";
import { renderChat } from "../../../src/text/template.js";
import type { Message, TextCodec } from "../../../src/text/tokenizer.js";
import type { Reader, Seed } from "../input.js";
import { bytesOf, encoded, folderSeed, foldersWith, GOLDEN } from "./seeds.js";

// Readers of tokenizers and chat templates.

/** In every vocabulary of the tests. */
const PLAIN = "a";

const talk: readonly Message[] = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Two  spaces, an é, a 汉字 and an 👍🏽\n" },
  { role: "assistant", content: "It's fine." },
];

/** Encodes and decodes texts, and renders a talk where there is a template. */
export function useText(codec: TextCodec): void {
  for (const { content } of talk) {
    const ids = codec.encode(content);
    codec.decode(ids);
    codec.encodeInput(content, "a pair");
  }
  codec.align(PLAIN, [0, 1], true);
  if (codec.chatTemplate === undefined) return;
  renderChat(codec, talk.slice(0, 2), { addGenerationPrompt: true });
  encodeChat(codec, talk);
}

const textFiles = /^(tokenizer|tokenizer_config|special_tokens_map|generation_config|config)\.json$/;

/** The vocabularies of tokenizers without a tokenizer.json, out of those that have one. */
function olderFiles(): Seed[] {
  const read = (name: string) => JSON.parse(new TextDecoder().decode(bytesOf(join(GOLDEN, "text/tokenizers", name, "tokenizer.json"))));
  const bert = read("bert").model.vocab as Record<string, number>;
  const words = Object.entries(bert).sort(([, a], [, b]) => a - b);
  const { vocab, merges } = read("roberta").model as { vocab: unknown; merges: (string | string[])[] };
  return [
    new Map([
      ["vocab.txt", encoded(words.map(([word]) => word).join("\n"))],
      ["tokenizer_config.json", encoded('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')],
    ]),
    new Map([
      ["vocab.json", encoded(JSON.stringify(vocab))],
      ["merges.txt", encoded(merges.map((pair) => (typeof pair === "string" ? pair : pair.join(" "))).join("\n"))],
      [
        "tokenizer_config.json",
        encoded('{"tokenizer_class": "GPT2Tokenizer", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}'),
      ],
    ]),
  ];
}

const tokenizer: Reader = {
  name: "tokenizer",
  seeds: async () => [...foldersWith("tokenizer.json").map((folder) => folderSeed(folder, textFiles)), ...olderFiles()],
  read: async (folder) => useText(await loadTextFromFolder(folder)),
};

/** Templates of many kinds, each beside the tokenizer of a tiny model. */
function templates(): Seed[] {
  const { templates } = JSON.parse(new TextDecoder().decode(bytesOf(join(GOLDEN, "text/templates.json")))) as {
    templates: Readonly<Record<string, string>>;
  };
  const { tagged } = JSON.parse(new TextDecoder().decode(bytesOf(join(GOLDEN, "text/chat-templates.json")))) as { tagged: string };
  const beside = folderSeed(join(GOLDEN, "tiny-chat"), /^tokenizer\.json$/);
  return [...Object.values(templates), tagged].map((text) => new Map([["chat_template.jinja", encoded(text)], ...beside]));
}

const chatTemplate: Reader = {
  name: "chat-template",
  seeds: async () => templates(),
  read: async (folder) => useText(await loadTextFromFolder(folder)),
};

export const textReaders: readonly Reader[] = [tokenizer, chatTemplate];
