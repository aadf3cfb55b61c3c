import { Tokenizer } from "@huggingface/tokenizers";
import { InputError } from "../errors.js";
import { bytesOfByteLevelToken, bytesOfSentencePieceToken } from "./byte-alphabet.js";
import type { AddedToken, Step, TokenizerJson } from "./tokenizer-json.js";

/** One message of a conversation, with the fields that chat templates read. */
export interface Message {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
  readonly tool_calls?: readonly unknown[];
  readonly tool_call_id?: string;
  /** 0: this assistant message is shown but not learned (OpenAI's fine-tuning format). */
  readonly weight?: number;
  readonly [key: string]: unknown;
}

/** The ids of a text and the bytes that each covers, with asked-for positions of the text given in the same measure. */
export interface AlignedText {
  readonly ids: readonly number[];
  /** Byte at which each token begins and ends, in the tokenizer's normal form of the text. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** For each asked-for position (UTF-16 index in the text), the byte in the same measure. */
  readonly positions: readonly number[];
}

/** A tokenizer with its chat template. */
export interface TextCodec {
  /** One more than the largest token id. */
  readonly vocabSize: number;
  /** Ids that end an answer; generation stops at any of them. */
  readonly endOfTurnIds: readonly number[];
  /** The id that ends a document, undefined when the tokenizer has none. */
  readonly endOfTextId: number | undefined;
  /** Ids that the tokenizer puts before a bare text (often one beginning-of-sequence token, often none). */
  readonly startIds: readonly number[];
  readonly chatTemplate: string | undefined;
  /** The template for conversations with tools, where the checkpoint has one of its own. */
  readonly toolTemplate: string | undefined;
  /** `bos_token`, `eos_token`, …: what the template may print. */
  readonly namedTokens: Readonly<Record<string, string>>;
  /** Tokens that steer the model; their text inside a message's content is plain text. */
  readonly controlTokens: readonly AddedToken[];
  /** Ids of a text. `special` (default true): control tokens written in it become their ids; false: they stay plain text. Adds no opening token. */
  encode(text: string, options?: { special?: boolean }): number[];
  /** Text of ids; ids outside the vocabulary are skipped. `skipSpecial` (default false) leaves control tokens out. */
  decode(ids: readonly number[], options?: { skipSpecial?: boolean }): string;
  /** Ids of plain text (no control tokens) with their bytes. `atStart`: the text opens the sequence. */
  align(text: string, positions: readonly number[], atStart: boolean): AlignedText;
}

/** What a checkpoint says beside its tokenizer.json. */
export interface TextSettings {
  /** Where it was read, for messages. */
  readonly file: string;
  readonly namedTokens: Readonly<Record<string, string>>;
  readonly endOfTurnIds: readonly number[];
  readonly startIds: readonly number[];
  readonly chatTemplate: string | undefined;
  readonly toolTemplate?: string | undefined;
}

/** A piece of text between added tokens, or an added token. Offsets are UTF-16 indexes. */
export type Piece = { readonly start: number; readonly end: number; readonly token?: AddedToken };

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** Splits at the given tokens, leftmost and longest first; whitespace that a token claims (lstrip, rstrip) vanishes with it. */
export function splitAtTokens(text: string, tokens: readonly AddedToken[], offset = 0): Piece[] {
  if (tokens.length === 0) return text === "" ? [] : [{ start: offset, end: offset + text.length }];
  const byContent = new Map(tokens.map((token) => [token.content, token]));
  const pattern = new RegExp(patternOf(tokens), "gu");
  const pieces: Piece[] = [];
  let from = 0;
  const pushText = (start: number, end: number) => {
    if (end > start) pieces.push({ start: offset + start, end: offset + end });
  };
  for (const match of text.matchAll(pattern)) {
    const token = byContent.get(match[0]);
    if (token === undefined) continue;
    const before = text.slice(from, match.index);
    pushText(from, from + (token.lstrip ? before.trimEnd() : before).length);
    from = match.index + match[0].length;
    pieces.push({ start: offset + match.index, end: offset + from, token });
    if (token.rstrip) from += text.length - from - text.slice(from).trimStart().length;
  }
  pushText(from, text.length);
  return pieces;
}

const patterns = new WeakMap<readonly AddedToken[], string>();
function patternOf(tokens: readonly AddedToken[]): string {
  const known = patterns.get(tokens);
  if (known !== undefined) return known;
  const longestFirst = tokens.map((token) => token.content).sort((a, b) => b.length - a.length);
  const pattern = longestFirst.map(escapeRegExp).join("|");
  patterns.set(tokens, pattern);
  return pattern;
}

const contains = (step: Step | null, type: string): boolean =>
  step !== null &&
  (step.type === type ||
    (["pretokenizers", "normalizers", "decoders", "processors"] as const).some((key) => {
      const inner = step[key];
      return Array.isArray(inner) && inner.some((one: Step) => contains(one, type));
    }));

/** The same pre-tokenizer for text that does not open the sequence: Metaspace with "first" adds no space there. */
function insidePreTokenizer(step: Step | null): Step | null {
  if (step?.type === "Metaspace" && step.prepend_scheme === "first") return { ...step, prepend_scheme: "never" };
  if (step?.type === "Sequence" && Array.isArray(step.pretokenizers)) {
    return { ...step, pretokenizers: step.pretokenizers.map((inner: Step) => insidePreTokenizer(inner)) };
  }
  return step;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Length of the text that two strings share at their start. */
function commonPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

/**
 * Builds the codec from a tokenizer.json and the checkpoint's settings. Added tokens are split off here rather than by the
 * library, because whether a control token counts depends on who wrote it (the template or a message).
 */
export function createTextCodec(json: TokenizerJson, settings: TextSettings): TextCodec {
  const config = { clean_up_tokenization_spaces: false };
  const bareJson = { ...json, added_tokens: [], post_processor: null };
  const opening = new Tokenizer(bareJson, config);
  const inside = insidePreTokenizer(json.pre_tokenizer);
  const following =
    JSON.stringify(inside) === JSON.stringify(json.pre_tokenizer) ? opening : new Tokenizer({ ...bareJson, pre_tokenizer: inside }, config);
  const isByteLevel = contains(json.pre_tokenizer, "ByteLevel");
  const bytesOf = isByteLevel ? bytesOfByteLevelToken : bytesOfSentencePieceToken;
  const normalize = (text: string): string => (opening.normalizer === null ? text : opening.normalizer.normalize(text));

  const ends = new Set([settings.namedTokens.eos_token, settings.namedTokens.bos_token]);
  const isControl = (token: AddedToken) => token.special || settings.endOfTurnIds.includes(token.id) || ends.has(token.content);
  const controlTokens = json.added_tokens.filter(isControl);
  const words = json.added_tokens.filter((token) => !isControl(token));
  const idsOf = new Map(json.added_tokens.map((token) => [token.content, token.id]));
  const eos = settings.namedTokens.eos_token;
  const endOfTextId = eos === undefined ? undefined : (idsOf.get(eos) ?? opening.token_to_id(eos));
  const specialIds = new Set(controlTokens.map((token) => token.id));
  const contentOf = new Map(json.added_tokens.map((token) => [token.id, token.content]));
  const dropsLeadingSpace = contains(json.decoder, "Strip") || contains(json.decoder, "Metaspace");

  const encodeBare = (text: string, atStart: boolean) => (atStart ? opening : following).encode(text, { add_special_tokens: false });

  function alignBare(text: string, positions: readonly number[], atStart: boolean): AlignedText {
    const { ids, tokens } = encodeBare(text, atStart);
    const normal = normalize(text);
    const plain = (part: string) => (isByteLevel ? part : part.replaceAll("\u2581", " "));
    const expected = encoder.encode(plain(normal));
    const starts: number[] = [];
    const endsAt: number[] = [];
    let at = 0;
    const pieces: Uint8Array[] = [];
    for (const token of tokens) {
      const bytes = bytesOf(token) ?? encoder.encode(token);
      starts.push(at);
      at += bytes.length;
      endsAt.push(at);
      pieces.push(bytes);
    }
    const shift = at - expected.length; // 1 where the pre-tokenizer put a space before the text
    let check = 0;
    const matches = pieces.every((bytes) => bytes.every((byte) => check++ < shift || byte === expected[check - 1 - shift]));
    if (shift < 0 || shift > 1 || !matches) {
      throw new InputError(
        `${settings.file}: the tokenizer has no token for a part of ${JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)}, ` +
          "so the loss cannot be placed on it. Remove the unusual characters, or use a model whose tokenizer covers every byte.",
      );
    }
    const positionOf = (index: number): number => {
      if (index <= 0) return 0;
      if (index >= text.length) return at;
      const head = text.slice(0, index);
      const shared = normal === text ? head : normal.slice(0, commonPrefix(normalize(head), normal));
      return encoder.encode(plain(shared)).length + shift;
    };
    return { ids, starts, ends: endsAt, positions: positions.map(positionOf) };
  }

  function align(text: string, positions: readonly number[], atStart: boolean): AlignedText {
    const ids: number[] = [];
    const starts: number[] = [];
    const endsAt: number[] = [];
    const found = positions.map(() => 0);
    let base = 0;
    for (const piece of splitAtTokens(text, words)) {
      const inner = text.slice(piece.start, piece.end);
      const wanted = positions.map((position) => position - piece.start);
      const part: AlignedText = piece.token
        ? {
            ids: [piece.token.id],
            starts: [0],
            ends: [encoder.encode(inner).length],
            positions: wanted.map((index) => encoder.encode(inner.slice(0, Math.max(0, index))).length),
          }
        : alignBare(inner, wanted, atStart && piece.start === 0);
      for (const id of part.ids) ids.push(id);
      for (const start of part.starts) starts.push(base + start);
      for (const end of part.ends) endsAt.push(base + end);
      positions.forEach((position, index) => {
        if (position > piece.start) found[index] = base + (part.positions[index] ?? 0);
      });
      base += part.ends.at(-1) ?? 0;
    }
    return { ids, starts, ends: endsAt, positions: found };
  }

  function encode(text: string, options: { special?: boolean } = {}): number[] {
    const splitting = options.special === false ? words : json.added_tokens;
    return splitAtTokens(text, splitting).flatMap((piece) =>
      piece.token ? [piece.token.id] : encodeBare(text.slice(piece.start, piece.end), piece.start === 0).ids,
    );
  }

  function decode(ids: readonly number[], options: { skipSpecial?: boolean } = {}): string {
    const bytes: number[] = [];
    for (const id of ids) {
      if (options.skipSpecial === true && specialIds.has(id)) continue;
      const added = contentOf.get(id);
      const token = added ?? opening.id_to_token(id);
      if (token === undefined) continue;
      for (const byte of added === undefined ? (bytesOf(token) ?? encoder.encode(token)) : encoder.encode(token)) bytes.push(byte);
    }
    const text = decoder.decode(Uint8Array.from(bytes));
    return dropsLeadingSpace && text.startsWith(" ") ? text.slice(1) : text;
  }

  let largest = 0;
  for (const id of Object.values(json.model.vocab)) largest = Math.max(largest, id);
  for (const token of json.added_tokens) largest = Math.max(largest, token.id);
  const { endOfTurnIds, startIds, chatTemplate, toolTemplate, namedTokens } = settings;
  return {
    vocabSize: largest + 1,
    endOfTurnIds,
    endOfTextId,
    startIds,
    chatTemplate,
    toolTemplate,
    namedTokens,
    controlTokens,
    encode,
    decode,
    align,
  };
}
