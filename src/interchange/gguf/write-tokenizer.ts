import { InputError } from "../../errors.js";
import { textCodecOf } from "../../text/codec.js";
import { textFromGguf } from "../../text/from-gguf.js";
import { type GgufPreTokenizer, ggufPreTokenizers } from "../../text/gguf-pre-tokenizers.js";
import type { InputTemplate } from "../../text/model-input.js";
import type { TextSettings } from "../../text/tokenizer.js";
import { type Step, type TokenizerJson, type TokenizerModel, vocabularyOf } from "../../text/tokenizer-json.js";
import { hardTexts } from "./hard-texts.js";
import type { GgufEntry, GgufValue } from "./header.js";
import { uint32 } from "./parameters/parameters.js";

/** What a folder says of its text; see `readFolderText`. */
export interface FolderText {
  readonly tokenizerJson: TokenizerJson;
  readonly settings: TextSettings;
}

/** `tokenizer.ggml.token_type` of the GGUF specification. */
const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Scores of what is never made by merging.                                             llama.cpp: conversion/base.py */
const NO_SCORE = -10_000;

/**
 * A folder's tokenizer and chat template as a GGUF's metadata. Which of llama.cpp's ways of splitting text is the folder's is found as
 * its converter finds it, by what the tokenizer does: on texts that tell the ways apart, the metadata must give the folder's ids back.
 *
 * @param rows of the table of embeddings, each of which must have a token
 * @throws InputError where no way gives them.
 */
export function ggufTokenizer({ tokenizerJson, settings }: FolderText, rows: number): readonly GgufEntry[] {
  const vocabulary = vocabularyWithin(tokenizerJson, settings, rows);
  const common = [...vocabularyEntries(vocabulary), ...offices(settings, vocabulary), ...templates(settings)];
  const original = textCodecOf(tokenizerJson, { ...settings, chatTemplate: undefined });
  const expected = hardTexts.map((text) => original.encode(text, { special: false }));
  for (const candidate of candidates(tokenizerJson, vocabulary)) {
    const entries = [...candidate, ...common];
    const metadata = Object.fromEntries(entries.map(([key, { value }]) => [key, value]));
    delete metadata["tokenizer.chat_template"];
    const codec = textFromGguf(metadata, settings.file);
    const isSame = hardTexts.every((text, index) => {
      const ids = codec.encode(text, { special: false });
      return ids.length === expected[index]?.length && ids.every((id, at) => id === expected[index]?.[at]);
    });
    if (isSame) return entries;
  }
  throw new InputError(
    `${settings.file}: the tokenizer splits texts in a way that has no name in GGUF. Known there are byte-level BPE (${ggufPreTokenizers.map(([name]) => name).join(", ")}) and SentencePiece's BPE. ` +
      "Write a folder instead, which takes any tokenizer: leave out --to gguf and give --out a name without .gguf.",
  );
}

const contains = (step: Step | null, type: string): boolean => step !== null && JSON.stringify(step).includes(`"type":"${type}"`);

/** The entries that say how texts are split, likeliest first. */
function* candidates({ model, pre_tokenizer, normalizer }: TokenizerJson, { tokens }: Vocabulary): Generator<GgufEntry[]> {
  if (model.type !== "BPE") return;
  const merges = mergesOf(model);
  if (contains(pre_tokenizer, "ByteLevel")) {
    const kind: GgufEntry[] = [
      ["tokenizer.ggml.model", text("gpt2")],
      ["tokenizer.ggml.merges", { type: "strings", value: merges.map((pair) => pair.join(" ")) }],
    ];
    const written = JSON.stringify(pre_tokenizer);
    const likeness = (rule: GgufPreTokenizer) =>
      Number(JSON.stringify(rule.preTokenizer) === written) + Number(rule.ignoreMerges === (model.ignore_merges === true)) / 2;
    const likeliest = ggufPreTokenizers.toSorted(([, one], [, other]) => likeness(other) - likeness(one));
    for (const [name] of likeliest) yield [...kind, ["tokenizer.ggml.pre", text(name)]];
  } else {
    const adds = contains(normalizer, "Prepend") || contains(pre_tokenizer, "Metaspace");
    for (const addsSpace of [adds, !adds]) {
      yield [
        ["tokenizer.ggml.model", text("llama")],
        ["tokenizer.ggml.pre", text("default")],
        ["tokenizer.ggml.scores", { type: "float32s", value: scoresOf(tokens, merges) }],
        ["tokenizer.ggml.add_space_prefix", { type: "bool", value: addsSpace }],
      ];
    }
  }
}

const text = (value: string): GgufValue => ({ type: "string", value });

/** Merges as pairs; older files have "left right". */
function mergesOf({ merges }: TokenizerModel): readonly (readonly [string, string])[] {
  const listed: readonly unknown[] = Array.isArray(merges) ? merges : [];
  return listed.map((merge) => {
    const [left, right] = typeof merge === "string" ? merge.split(" ") : (merge as readonly string[]);
    return [String(left), String(right)];
  });
}

/** Tokens and their types by id, one for each row of the table. */
interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly number[];
}

function vocabularyWithin(json: TokenizerJson, { namedTokens }: TextSettings, rows: number): Vocabulary {
  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(rows).fill(tokenType.unused);
  const put = (id: number, token: string, type: number) => {
    if (id >= rows) return; // a tokenizer may know more than the model
    tokens[id] = token;
    types[id] = type;
  };
  const { byte_fallback: hasBytes, unk_token: unknown } = json.model;
  for (const [token, id] of vocabularyOf(json.model))
    put(id, token, hasBytes === true && /^<0x[0-9A-F]{2}>$/.test(token) ? tokenType.byte : tokenType.normal);
  const ends = new Set([namedTokens.bos_token, namedTokens.eos_token]);
  for (const { id, content, special } of json.added_tokens) {
    const isUnknown = hasBytes === true && content === (unknown ?? namedTokens.unk_token);
    put(id, content, isUnknown ? tokenType.unknown : special || ends.has(content) ? tokenType.control : tokenType.userDefined);
  }
  return { tokens, types };
}

const vocabularyEntries = ({ tokens, types }: Vocabulary): GgufEntry[] => [
  ["tokenizer.ggml.tokens", { type: "strings", value: tokens }],
  ["tokenizer.ggml.token_type", { type: "int32s", value: types }],
];

/** SentencePiece merges the neighbours whose union scores highest: what is merged first here scores highest there. */
function scoresOf(tokens: readonly string[], merges: readonly (readonly [string, string])[]): number[] {
  const rank = new Map<string, number>();
  for (const [index, [left, right]] of merges.entries()) if (!rank.has(left + right)) rank.set(left + right, index);
  return tokens.map((token) => {
    const first = rank.get(token);
    return first === undefined ? NO_SCORE - merges.length : -first;
  });
}

/** Ids of the tokens that have an office, and whether they stand around a text. */
function offices({ namedTokens, endOfTurnIds, inputTemplate, file }: TextSettings, { tokens }: Vocabulary): GgufEntry[] {
  const idOf = (name: string) => {
    const id = namedTokens[name] === undefined ? -1 : tokens.indexOf(namedTokens[name]);
    return id < 0 ? undefined : id;
  };
  const [bos, eos] = [idOf("bos_token"), idOf("eos_token") ?? endOfTurnIds[0]];
  const [turn, message] = endOfTurnIds.filter((id) => id !== eos);
  const ids = { bos, eos, unknown: idOf("unk_token"), padding: idOf("pad_token"), eot: turn, eom: message };
  const [before, after] = tokensAround(inputTemplate);
  if ((before.length > 0 && String(before) !== String(bos)) || (after.length > 0 && String(after) !== String(eos))) {
    throw new InputError(
      `${file}: the tokenizer puts the tokens ${[...before, ...after].join(", ")} around a text, where GGUF knows the beginning and the end of a sequence alone. Write a folder instead: leave out --to gguf.`,
    );
  }
  return [
    ...Object.entries(ids).flatMap(([name, id]): GgufEntry[] =>
      id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, uint32(id)]],
    ),
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: before.length > 0 }],
    ["tokenizer.ggml.add_eos_token", { type: "bool", value: after.length > 0 }],
  ];
}

/** Ids before and behind a single text. */
function tokensAround({ single }: InputTemplate): readonly [number[], number[]] {
  const at = single.findIndex((item) => item.kind === "text");
  const ids = (items: InputTemplate["single"]) => items.flatMap((item) => (item.kind === "token" ? [item.id] : []));
  return [ids(single.slice(0, at)), ids(single.slice(at + 1))];
}

function templates({ chatTemplate, toolTemplate }: TextSettings): GgufEntry[] {
  return [
    ...(chatTemplate === undefined ? [] : [["tokenizer.chat_template", text(chatTemplate)] as const]),
    ...(toolTemplate === undefined
      ? []
      : ([
          ["tokenizer.chat_templates", { type: "strings", value: ["tool_use"] }],
          ["tokenizer.chat_template.tool_use", text(toolTemplate)],
        ] as const)),
  ];
}
