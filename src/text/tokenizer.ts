import { splitAtTokens } from "./added-tokens.js";
import { type AlignedText, createBareTokenizer } from "./bare-tokenizer.js";
import { type InputTemplate, layOutInput, type ModelInput, type ModelInputOptions, openingIds } from "./model-input.js";
import { type AddedToken, type TokenizerJson, vocabularyOf } from "./tokenizer-json.js";

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

/** Ids of the tokens that have an office, where the tokenizer has them. */
export interface OfficeIds {
  /** Fills rows of a batch. */
  readonly pad?: number;
  /** Opens an encoder's input; its output stands for the whole text. */
  readonly cls?: number;
  /** Ends each text of an encoder's input. */
  readonly sep?: number;
  readonly mask?: number;
  readonly unk?: number;
  readonly bos?: number;
  readonly eos?: number;
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
  /** The id of a control token that a template wrote. */
  idOf(token: AddedToken): number;
  /** Ids of a text. `special` (default true): control tokens written in it become their ids; false: they stay plain text. Adds no opening token. */
  encode(text: string, options?: { special?: boolean }): number[];
  /**
   * One text, or a pair of texts, as the model reads it: with the tokens that the tokenizer's post-processor puts around them
   * (`[CLS] … [SEP] … [SEP]`), segment ids, and cut to `maxLength`. Equal to calling the tokenizer of transformers; control tokens
   * written in a text become their ids. @throws InputError when `maxLength` leaves no room.
   */
  encodeInput(text: string, textPair?: string, options?: ModelInputOptions): ModelInput;
  /** Ids of `pad`, `cls`, `sep`, … */
  readonly officeIds: OfficeIds;
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
  /** The tokens around one text and around a pair of texts. */
  readonly inputTemplate: InputTemplate;
  readonly chatTemplate: string | undefined;
  readonly toolTemplate?: string | undefined;
}

const encoder = new TextEncoder();

/** Aligns a stretch of text between words that are never split. */
type AlignPiece = (text: string, positions: readonly number[], atStart: boolean) => AlignedText;

/** Plain text with the words that are never split; their bytes count as the text's. */
function alignWithWords(
  align: AlignPiece,
  words: readonly AddedToken[],
  text: string,
  positions: readonly number[],
  atStart: boolean,
): AlignedText {
  const ids: number[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  const found = positions.map(() => 0);
  let base = 0;
  for (const piece of splitAtTokens(text, words)) {
    const inner = text.slice(piece.start, piece.end);
    const wanted = positions.map((position) => Math.min(inner.length, Math.max(0, position - piece.start)));
    const part: AlignedText = piece.token
      ? {
          ids: [piece.token.id],
          starts: [0],
          ends: [encoder.encode(inner).length],
          positions: wanted.map((index) => encoder.encode(inner.slice(0, index)).length),
        }
      : align(inner, wanted, atStart && piece.start === 0);
    for (const id of part.ids) ids.push(id);
    for (const start of part.starts) starts.push(base + start);
    for (const end of part.ends) ends.push(base + end);
    positions.forEach((position, index) => {
      if (position > piece.start) found[index] = base + (part.positions[index] ?? 0);
    });
    base += part.ends.at(-1) ?? 0;
  }
  return { ids, starts, ends, positions: found };
}

function largestId(json: TokenizerJson): number {
  let largest = 0;
  for (const id of vocabularyOf(json.model).values()) largest = Math.max(largest, id);
  for (const token of json.added_tokens) largest = Math.max(largest, token.id);
  return largest;
}

/** The office of each named token of a configuration. */
const offices = {
  pad_token: "pad",
  cls_token: "cls",
  sep_token: "sep",
  mask_token: "mask",
  unk_token: "unk",
  bos_token: "bos",
  eos_token: "eos",
} as const;

function officeIdsOf(namedTokens: Readonly<Record<string, string>>, idOf: (token: string | undefined) => number | undefined): OfficeIds {
  const ids = Object.entries(offices).map(([name, office]) => [office, idOf(namedTokens[name])] as const);
  return Object.fromEntries(ids.filter(([, id]) => id !== undefined));
}

/** Added tokens in two sets: those looked for in the text as it is, and those looked for in its normal form. */
function sortByPlace(tokens: readonly AddedToken[]): { raw: readonly AddedToken[]; normal: readonly AddedToken[] } {
  return { raw: tokens.filter((token) => !token.normalized), normal: tokens.filter((token) => token.normalized) };
}

/**
 * Builds the codec from a tokenizer.json and the checkpoint's settings. Whether a control token in a text counts depends on who
 * wrote it (the template or a message), so added tokens are split off in sets: all of them, or the words alone.
 */
export function createTextCodec(json: TokenizerJson, settings: TextSettings): TextCodec {
  const bare = createBareTokenizer(json, settings.file);
  const { eos_token: eos, bos_token: bos } = settings.namedTokens;
  const isControl = (token: AddedToken) =>
    token.special || settings.endOfTurnIds.includes(token.id) || token.content === eos || token.content === bos;
  const controlTokens = json.added_tokens.filter(isControl);
  const all = sortByPlace(json.added_tokens);
  const words = sortByPlace(json.added_tokens.filter((token) => !isControl(token)));
  const controlIds = new Set(controlTokens.map((token) => token.id));
  const contentOf = new Map(json.added_tokens.map((token) => [token.id, token.content]));
  const idOfAdded = new Map(json.added_tokens.map((token) => [token.content, token.id]));

  function encode(text: string, options: { special?: boolean } = {}): number[] {
    const { raw, normal } = options.special === false ? words : all;
    return splitAtTokens(text, raw).flatMap((piece) =>
      piece.token ? [piece.token.id] : bare.encode(text.slice(piece.start, piece.end), { atStart: piece.start === 0, words: normal }),
    );
  }

  function decode(ids: readonly number[], options: { skipSpecial?: boolean } = {}): string {
    const kept = options.skipSpecial === true ? ids.filter((id) => !controlIds.has(id)) : ids;
    const tokens = kept.map((id) => contentOf.get(id) ?? bare.tokenOf(id)).filter((token) => token !== undefined);
    return bare.decode(tokens);
  }

  const alignPiece: AlignPiece = (text, positions, atStart) => bare.align(text, positions, { atStart, words: words.normal });
  const idOf = (token: string | undefined) => (token === undefined ? undefined : (idOfAdded.get(token) ?? bare.idOf(token)));
  const { endOfTurnIds, inputTemplate, chatTemplate, toolTemplate, namedTokens } = settings;
  return {
    vocabSize: largestId(json) + 1,
    endOfTurnIds,
    endOfTextId: idOf(eos),
    startIds: openingIds(inputTemplate),
    chatTemplate,
    toolTemplate,
    namedTokens,
    controlTokens,
    idOf: ({ id }) => id,
    officeIds: officeIdsOf(namedTokens, idOf),
    encode,
    encodeInput: (text, textPair, options) =>
      layOutInput(inputTemplate, encode(text), textPair === undefined ? undefined : encode(textPair), options),
    decode,
    align: (text, positions, atStart) => alignWithWords(alignPiece, words.raw, text, positions, atStart),
  };
}
