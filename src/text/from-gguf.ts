import { InputError } from "../errors.js";
import { buildTextCodec } from "./codec.js";
import { ggufPreTokenizer } from "./gguf-pre-tokenizers.js";
import { surroundingTemplate } from "./model-input.js";
import { mergesFromScores } from "./sentencepiece-merges.js";
import type { TextCodec, TextSettings } from "./tokenizer.js";
import type { AddedToken, Step, TokenizerJson } from "./tokenizer-json.js";

/** More tokens than any published vocabulary has (262,144 is the largest known); a larger count is a broken file. */
const maxTokens = 1_000_000;
/** Byte-level vocabularies have about one merge a token; some have two. */
const maxMerges = 4 * maxTokens;

/** `tokenizer.ggml.token_type` of the GGUF specification. */
const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

type Metadata = Readonly<Record<string, unknown>>;

/** Reads the metadata's values as types, naming the key where one is of another. Values are what `@huggingface/gguf` gives. */
function readerOf(metadata: Metadata, file: string) {
  function fail(key: string, expected: string): never {
    const value = metadata[key];
    const found = value === undefined ? "nothing" : Array.isArray(value) ? `an array of ${value.length}` : typeof value;
    throw new InputError(`${file}: "${key}" should be ${expected}, found ${found}. The GGUF holds no usable tokenizer.`);
  }
  return {
    file,
    text(key: string): string | undefined {
      const value = metadata[key];
      return value === undefined || typeof value === "string" ? value : fail(key, "a string");
    },
    flag(key: string): boolean | undefined {
      const value = metadata[key];
      return value === undefined || typeof value === "boolean" ? value : fail(key, "true or false");
    },
    /** A token id below `count`. */
    id(key: string, count: number): number | undefined {
      const value = metadata[key];
      if (value === undefined) return undefined;
      const id = typeof value === "bigint" ? Number(value) : value;
      return typeof id === "number" && Number.isSafeInteger(id) && id >= 0 && id < count ? id : fail(key, `a token id below ${count}`);
    },
    strings(key: string): readonly string[] {
      const value = metadata[key];
      if (Array.isArray(value) && value.length <= maxMerges && value.every((one) => typeof one === "string")) return value;
      return fail(key, "an array of strings");
    },
    numbers(key: string, count: number): readonly number[] | undefined {
      const value = metadata[key];
      if (value === undefined) return undefined;
      const numbers = Array.isArray(value) ? value.map((one: unknown) => (typeof one === "bigint" ? Number(one) : one)) : [];
      if (numbers.length === count && numbers.every((one) => typeof one === "number")) return numbers;
      return fail(key, `an array of ${count} numbers, one a token`);
    },
  };
}

type Reader = ReturnType<typeof readerOf>;

/** Words of the form <|…|> steer the model even where a converter filed them as user-defined. */
const looksLikeControl = (text: string): boolean => /^<(\|[^|]+\||\uff5c[^\uff5c]+\uff5c|(start|end)_of_turn)>$/.test(text);

/** Gemma's runs of spaces, which converters write with either sign. */
const isSpaces = (token: string, type: number | undefined): boolean => type === tokenType.userDefined && /^[ \u2581]+$/.test(token);

/** The sign that stands for a space, where a converter wrote a space: as in the tokenizer.json of such models, merging makes them of spaces. */
const asPiece = (token: string, type: number | undefined): string => (isSpaces(token, type) ? token.replaceAll(" ", "\u2581") : token);

function addedTokens(tokens: readonly string[], types: readonly number[] | undefined): AddedToken[] {
  const added: AddedToken[] = [];
  const seen = new Set<string>();
  tokens.forEach((content, id) => {
    const type = types?.[id] ?? (looksLikeControl(content) ? tokenType.control : tokenType.normal);
    const special =
      type === tokenType.control || (type === tokenType.userDefined && looksLikeControl(content)) || type === tokenType.unknown;
    if ((!special && type !== tokenType.userDefined) || content === "" || seen.has(content)) return;
    seen.add(content);
    added.push({ id, content, special, lstrip: false, rstrip: false, normalized: false, singleWord: false });
  });
  return added;
}

/** Token → id. Object.fromEntries, so that a token named `__proto__` is an entry like any other. */
const vocabOf = (tokens: readonly string[]): Record<string, number> => Object.fromEntries(tokens.map((token, id) => [token, id]));

function byteLevelTokenizer(reader: Reader, tokens: readonly string[]) {
  const { preTokenizer, normalizer, ignoreMerges, addsBos } = ggufPreTokenizer(reader.text("tokenizer.ggml.pre") ?? "default", reader.file);
  const merges = reader.strings("tokenizer.ggml.merges").map((merge) => {
    // The right part may not be empty; a space inside a part does not occur in the byte-level alphabet.
    const cut = merge.indexOf(" ", 1);
    return [merge.slice(0, cut), merge.slice(cut + 1)];
  });
  const decoder: Step = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };
  return {
    addsBos,
    steps: {
      normalizer,
      pre_tokenizer: preTokenizer,
      decoder,
      model: { type: "BPE" as const, vocab: vocabOf(tokens), merges, ignore_merges: ignoreMerges },
    },
  };
}

function sentencePieceTokenizer(reader: Reader, tokens: readonly string[], types: readonly number[] | undefined) {
  const scores = reader.numbers("tokenizer.ggml.scores", tokens.length);
  if (scores === undefined) {
    throw new InputError(`${reader.file}: "tokenizer.ggml.scores" is missing; a tokenizer of type "llama" orders its merges by them.`);
  }
  const spaces = (id: number) => isSpaces(tokens[id] ?? "", types?.[id]);
  const mergeable = (id: number) => (types?.[id] ?? tokenType.normal) === tokenType.normal || spaces(id);
  // Scores are logarithms and so negative: runs of spaces come first, the longest before all.
  const order = scores.map((score, id) => (spaces(id) ? (tokens[id]?.length ?? 0) : score));
  const space: Step = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
  const addsSpace = reader.flag("tokenizer.ggml.add_space_prefix") ?? true;
  const normalizer: Step = addsSpace ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "\u2581" }, space] } : space;
  const decoders: readonly Step[] = [
    { type: "Replace", pattern: { String: "\u2581" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    ...(addsSpace ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
  ];
  const unknown = tokens[reader.id("tokenizer.ggml.unknown_token_id", tokens.length) ?? 0];
  return {
    addsBos: true,
    steps: {
      normalizer,
      pre_tokenizer: null,
      decoder: { type: "Sequence", decoders } satisfies Step,
      model: {
        type: "BPE" as const,
        vocab: vocabOf(tokens),
        merges: mergesFromScores(tokens, order, mergeable),
        unk_token: unknown,
        fuse_unk: true,
        byte_fallback: true,
      },
    },
  };
}

/** A tokenizer.json in the making, and what else a GGUF says of its text. */
export interface GgufText {
  readonly tokenizerJson: TokenizerJson;
  readonly settings: TextSettings;
  /** Ids by their name in a configuration: `bos_token`, `eos_token`, `unk_token`, `pad_token`. */
  readonly namedIds: Readonly<Record<string, number>>;
}

/** What the metadata of a GGUF say of its tokenizer and chat template; see `textFromGguf`. */
export function readGgufText(metadata: Metadata, file = "GGUF"): GgufText {
  const reader = readerOf(metadata, file);
  const kind = reader.text("tokenizer.ggml.model");
  const written = reader.strings("tokenizer.ggml.tokens");
  if (written.length === 0 || written.length > maxTokens) {
    throw new InputError(`${file}: "tokenizer.ggml.tokens" has ${written.length} entries; expected 1 to ${maxTokens}.`);
  }
  const types = reader.numbers("tokenizer.ggml.token_type", written.length);
  if (kind !== "gpt2" && kind !== "llama") {
    throw new InputError(
      `${file}: its tokenizer is of type ${JSON.stringify(kind)}; expected "gpt2" (byte-level BPE) or "llama" (SentencePiece BPE). ` +
        "Use the model's original folder instead.",
    );
  }
  const tokens = kind === "llama" ? written.map((token, id) => asPiece(token, types?.[id])) : written;
  const { steps, addsBos } = kind === "gpt2" ? byteLevelTokenizer(reader, tokens) : sentencePieceTokenizer(reader, tokens, types);
  const id = (name: string) => reader.id(`tokenizer.ggml.${name}_token_id`, tokens.length);
  const [bos, eos] = [id("bos"), id("eos")];
  const named = { bos_token: bos, eos_token: eos, unk_token: id("unknown"), pad_token: id("padding") };
  const namedIds = Object.fromEntries(Object.entries(named).flatMap(([key, one]) => (one === undefined ? [] : [[key, one]])));
  const namedTokens = Object.fromEntries(Object.entries(namedIds).map(([key, one]) => [key, tokens[one] ?? ""]));
  const opensWithBos = reader.flag("tokenizer.ggml.add_bos_token") ?? addsBos;
  return {
    tokenizerJson: { added_tokens: addedTokens(tokens, types), post_processor: null, ...steps },
    settings: {
      file,
      namedTokens,
      endOfTurnIds: [...new Set([eos, id("eot"), id("eom")].filter((one) => one !== undefined))],
      inputTemplate: surroundingTemplate(opensWithBos && bos !== undefined ? [bos] : [], []),
      chatTemplate: reader.text("tokenizer.chat_template"),
      toolTemplate: reader.text("tokenizer.chat_template.tool_use"),
    },
    namedIds,
  };
}

/**
 * The tokenizer and chat template in a GGUF's metadata: byte-level BPE (`tokenizer.ggml.model` "gpt2") or SentencePiece BPE
 * ("llama"). `file` is named in messages. Source of the keys: the GGUF specification, "Tokenizer".
 * @throws InputError when a key is missing or malformed, or the tokenizer is of another kind.
 */
export function textFromGguf(metadata: Metadata, file = "GGUF"): TextCodec {
  const { tokenizerJson, settings } = readGgufText(metadata, file);
  return buildTextCodec(tokenizerJson, settings);
}
