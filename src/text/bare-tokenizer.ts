import { Tokenizer } from "@huggingface/tokenizers";
import { InputError } from "../errors.js";
import { bytesOfByteLevelToken, bytesOfSentencePieceToken } from "./byte-alphabet.js";
import type { Step, TokenizerJson } from "./tokenizer-json.js";

/** The ids of a text and the bytes that each covers, with asked-for positions of the text given in the same measure. */
export interface AlignedText {
  readonly ids: readonly number[];
  /** Byte at which each token begins and ends, in the tokenizer's normal form of the text. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** For each asked-for position (UTF-16 index in the text), the byte in the same measure. */
  readonly positions: readonly number[];
}

/** A tokenizer that knows no added tokens: all text is plain. `atStart`: the text opens the sequence. */
export interface BareTokenizer {
  encode(text: string, atStart: boolean): number[];
  align(text: string, positions: readonly number[], atStart: boolean): AlignedText;
  /** The bytes that an id of the vocabulary stands for, undefined for other ids. */
  bytesOf(id: number): Uint8Array | undefined;
  idOf(token: string): number | undefined;
  /** True where decoded text loses a space at its start, which the tokenizer put there. */
  readonly dropsLeadingSpace: boolean;
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

/** The same pre-tokenizer for text that does not open the sequence: Metaspace with "first" adds no space there. */
function insidePreTokenizer(step: Step | null): Step | null {
  if (step?.type === "Metaspace" && step.prepend_scheme === "first") return { ...step, prepend_scheme: "never" };
  if (step?.type === "Sequence" && Array.isArray(step.pretokenizers)) {
    return { ...step, pretokenizers: step.pretokenizers.map((inner: Step) => insidePreTokenizer(inner)) };
  }
  return step;
}

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

/** Builds the tokenizer of a tokenizer.json without its added tokens. `file` is named in messages. */
export function createBareTokenizer(json: TokenizerJson, file: string): BareTokenizer {
  const bareJson = { ...json, added_tokens: [], post_processor: null };
  const opening = new Tokenizer(bareJson, {});
  const inside = insidePreTokenizer(json.pre_tokenizer);
  const positionMatters = JSON.stringify(inside) !== JSON.stringify(json.pre_tokenizer);
  const following = positionMatters ? new Tokenizer({ ...bareJson, pre_tokenizer: inside }, {}) : opening;
  const run = (text: string, atStart: boolean) => (atStart ? opening : following).encode(text, { add_special_tokens: false });
  const isByteLevel = contains(json.pre_tokenizer, "ByteLevel");
  const bytesOfToken = (token: string) =>
    isByteLevel ? (bytesOfByteLevelToken(token) ?? encoder.encode(token)) : bytesOfSentencePieceToken(token);
  const bytesOfText = (text: string) => encoder.encode(isByteLevel ? text : text.replaceAll("\u2581", " "));
  const normalize = (text: string): string => (opening.normalizer === null ? text : opening.normalizer.normalize(text));

  function align(text: string, positions: readonly number[], atStart: boolean): AlignedText {
    const { ids, tokens } = run(text, atStart);
    const normal = normalize(text);
    const expected = bytesOfText(normal);
    const { starts, ends, bytes } = layTokens(tokens.map(bytesOfToken));
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
    return { ids, starts, ends, positions: positions.map(positionOf) };
  }

  return {
    encode: (text, atStart) => run(text, atStart).ids,
    align,
    bytesOf(id) {
      const token = opening.id_to_token(id);
      return token === undefined ? undefined : bytesOfToken(token);
    },
    idOf: (token) => opening.token_to_id(token),
    dropsLeadingSpace: contains(json.decoder, "Strip") || contains(json.decoder, "Metaspace"),
  };
}
