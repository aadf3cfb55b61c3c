import { InputError } from "../errors.js";
import { splitAtTokens } from "./added-tokens.js";
import { bytesOfByteLevelToken, bytesOfSentencePieceToken } from "./byte-alphabet.js";
import { createDecoder } from "./pipeline/decoder.js";
import { createModel } from "./pipeline/model.js";
import { createNormalizer } from "./pipeline/normalizer.js";
import { createPreTokenizer } from "./pipeline/pre-tokenizer.js";
import { remembered } from "./pipeline/remembered.js";
import { type AddedToken, type Step, type TokenizerJson, vocabularyOf } from "./tokenizer-json.js";

/** The ids of a text and the bytes that each covers, with asked-for positions of the text given in the same measure. */
export interface AlignedText {
  readonly ids: readonly number[];
  /** Byte at which each token begins and ends, in the tokenizer's normal form of the text. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** For each asked-for position (UTF-16 index in the text), the byte in the same measure. */
  readonly positions: readonly number[];
}

/** How a text is read. */
export interface Reading {
  /** The text opens the sequence. */
  readonly atStart: boolean;
  /** Added tokens to look for in the normalised text. */
  readonly words: readonly AddedToken[];
}

/** A tokenizer's steps without the added tokens that stand in texts as they are. */
export interface BareTokenizer {
  encode(text: string, reading: Reading): number[];
  align(text: string, positions: readonly number[], reading: Reading): AlignedText;
  /** The text of tokens, as the tokenizer's decoder writes it. */
  decode(tokens: readonly string[]): string;
  tokenOf(id: number): string | undefined;
  idOf(token: string): number | undefined;
}

const encoder = new TextEncoder();

/** True when a pipeline has a step of this type, at any depth. */
const contains = (step: Step | null, type: string): boolean =>
  step !== null &&
  (step.type === type ||
    (["pretokenizers", "normalizers", "decoders", "processors"] as const).some((key) => {
      const inner = step[key];
      return Array.isArray(inner) && inner.some((one: Step) => contains(one, type));
    }));

/** Length of the text that two strings share at their start. */
function commonPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

/** Where each token's bytes begin and end when they stand one after the other, and all of them. */
function layTokens(tokens: readonly Uint8Array[]): { starts: number[]; ends: number[]; bytes: Uint8Array } {
  const starts: number[] = [];
  const ends: number[] = [];
  let at = 0;
  for (const token of tokens) {
    starts.push(at);
    at += token.length;
    ends.push(at);
  }
  const bytes = new Uint8Array(at);
  tokens.forEach((token, index) => {
    bytes.set(token, starts[index]);
  });
  return { starts, ends, bytes };
}

/** True when the bytes are the expected ones after `shift` bytes of their own (a space that the tokenizer put before the text). */
const matchesFrom = (bytes: Uint8Array, shift: number, expected: Uint8Array): boolean =>
  (shift === 0 || shift === 1) && expected.every((byte, index) => byte === bytes[index + shift]);

interface Found {
  readonly id: number;
  readonly token: string;
  /** It is an added token, which stands for its own text. */
  readonly added: boolean;
}

/** Added tokens are looked for in the form that the normalizer gives them, which is found once for each list of them. */
function normalForms(normalize: (text: string) => string): (words: readonly AddedToken[]) => readonly AddedToken[] {
  const found = new WeakMap<readonly AddedToken[], readonly AddedToken[]>();
  return (words) => {
    const known = found.get(words) ?? words.map((word) => ({ ...word, content: normalize(word.content) }));
    found.set(words, known);
    return known;
  };
}

/** Builds the steps of a tokenizer.json: normalizer, pre-tokenizer, model, decoder. `file` is named in messages. */
export function createBareTokenizer(json: TokenizerJson, file: string): BareTokenizer {
  const vocabulary = vocabularyOf(json.model);
  const tokens: string[] = [];
  for (const [token, id] of vocabulary) tokens[id] = token;
  const normalize = createNormalizer(json.normalizer, file);
  const preTokenize = createPreTokenizer(json.pre_tokenizer, file);
  const tokensOfWord = createModel(json.model, vocabulary, file);
  const decode = createDecoder(json.decoder, file);
  const isByteLevel = contains(json.pre_tokenizer, "ByteLevel");
  const bytesOfToken = ({ token, added }: Found) =>
    isByteLevel ? ((added ? undefined : bytesOfByteLevelToken(token)) ?? encoder.encode(token)) : bytesOfSentencePieceToken(token);
  const bytesOfText = (text: string) => encoder.encode(isByteLevel ? text : text.replaceAll("\u2581", " "));

  const inNormalForm = normalForms(normalize);
  const foundInWord = remembered((word): readonly Found[] =>
    tokensOfWord(word).flatMap((token) => {
      const id = vocabulary.get(token);
      return id === undefined ? [] : [{ id, token, added: false }];
    }),
  );

  function find(normal: string, { atStart, words }: Reading): Found[] {
    return splitAtTokens(normal, inNormalForm(words)).flatMap((piece): Found[] => {
      const text = normal.slice(piece.start, piece.end);
      if (piece.token !== undefined) return [{ id: piece.token.id, token: text, added: true }];
      return preTokenize(text, atStart && piece.start === 0).flatMap(foundInWord);
    });
  }

  function align(text: string, positions: readonly number[], reading: Reading): AlignedText {
    const normal = normalize(text);
    const found = find(normal, reading);
    const expected = bytesOfText(normal);
    const { starts, ends, bytes } = layTokens(found.map(bytesOfToken));
    const shift = bytes.length - expected.length;
    if (!matchesFrom(bytes, shift, expected)) {
      throw new InputError(
        `${file}: the tokenizer has no token for a part of ${JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)}, ` +
          "so the loss cannot be placed on it. Remove the unusual characters, or use a model whose tokenizer covers every byte.",
      );
    }
    const positionOf = (index: number): number => {
      if (index <= 0) return 0;
      if (index >= text.length) return bytes.length;
      const head = text.slice(0, index);
      const shared = normal === text ? head : normal.slice(0, commonPrefix(normalize(head), normal));
      return bytesOfText(shared).length + shift;
    };
    return { ids: found.map((one) => one.id), starts, ends, positions: positions.map(positionOf) };
  }

  return {
    encode: (text, reading) => find(normalize(text), reading).map((one) => one.id),
    align,
    decode,
    tokenOf: (id) => tokens[id],
    idOf: (token) => vocabulary.get(token),
  };
}
