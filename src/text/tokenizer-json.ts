import { InputError } from "../errors.js";

/** One step of a tokenizer.json pipeline (a normalizer, a pre-tokenizer, a decoder), as the file writes it. */
export interface Step {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** An entry of `added_tokens` in tokenizer.json. `special` ones are control tokens; the others are ordinary words that are never split. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Whitespace on the left (right) of the token belongs to the token. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** The token is looked for in the normalised text rather than in the text as it is. */
  readonly normalized: boolean;
  /** The token counts only between characters that are none of a word. */
  readonly singleWord: boolean;
}

/** The models of a tokenizer.json: byte-pair encoding, BERT's WordPiece, SentencePiece's Unigram. */
export type TokenizerModel =
  | { readonly type: "BPE" | "WordPiece"; readonly vocab: Readonly<Record<string, number>>; readonly [key: string]: unknown }
  /** Pieces in the order of their ids, with their logarithmic probabilities. */
  | { readonly type: "Unigram"; readonly vocab: readonly (readonly [string, number])[]; readonly [key: string]: unknown };

/** The parts of a tokenizer.json that Lorikeet uses. `post_processor` says which tokens stand around a text. */
export interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: Step | null;
  readonly pre_tokenizer: Step | null;
  readonly post_processor: Step | null;
  readonly decoder: Step | null;
  readonly model: TokenizerModel;
}

/** Token → id of a model, without added tokens. */
export function vocabularyOf(model: TokenizerModel): ReadonlyMap<string, number> {
  return model.type === "Unigram" ? new Map(model.vocab.map(([piece], id) => [piece, id])) : new Map(Object.entries(model.vocab));
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

function readStep(value: unknown, file: string, key: string): Step | null {
  if (value === null || value === undefined) return null;
  if (isRecord(value) && typeof value.type === "string") return value as Step;
  throw new InputError(`${file}: "${key}" must be null or an object with a "type".`);
}

function readAddedToken(value: unknown, file: string, index: number): AddedToken {
  if (
    !isRecord(value) ||
    typeof value.content !== "string" ||
    value.content === "" ||
    !Number.isSafeInteger(value.id) ||
    Number(value.id) < 0
  ) {
    throw new InputError(`${file}: added_tokens[${index}] must have a "content" string and an "id" from 0 on.`);
  }
  const { id, content, special, lstrip, rstrip, normalized, single_word } = value;
  return {
    id: Number(id),
    content,
    special: special === true,
    lstrip: lstrip === true,
    rstrip: rstrip === true,
    normalized: typeof normalized === "boolean" ? normalized : special !== true,
    singleWord: single_word === true,
  };
}

/** Older files do not name their model's type; the keys that each type alone has tell it. */
function modelType(model: Readonly<Record<string, unknown>>): unknown {
  if (model.type !== undefined) return model.type;
  if (Array.isArray(model.vocab)) return "Unigram";
  return "merges" in model ? "BPE" : "max_input_chars_per_word" in model ? "WordPiece" : undefined;
}

const isPiece = (value: unknown): value is readonly [string, number] =>
  Array.isArray(value) && typeof value[0] === "string" && typeof value[1] === "number";

function readVocab(vocab: Readonly<Record<string, unknown>>, file: string): Record<string, number> {
  const wrong = Object.keys(vocab).find((token) => !Number.isInteger(vocab[token]) || Number(vocab[token]) < 0);
  if (wrong === undefined) return vocab as Record<string, number>;
  throw new InputError(
    `${file}: the id of a token should be a whole number from 0; that of ${JSON.stringify(wrong)} is ${JSON.stringify(vocab[wrong])}.`,
  );
}

/** Pairs of tokens, in the older form as one text with a space. */
function readMerges(merges: unknown, file: string): [string, string][] | string[] {
  const all: readonly unknown[] = Array.isArray(merges) ? merges : [];
  const wrong = all.findIndex(
    (merge) =>
      typeof merge !== "string" && !(Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === "string")),
  );
  if (wrong < 0) return all as [string, string][] | string[];
  throw new InputError(`${file}: its merges should be pairs of tokens; merges[${wrong}] is ${JSON.stringify(all[wrong])}.`);
}

function readModel(model: unknown, file: string): TokenizerModel {
  if (!isRecord(model)) throw new InputError(`${file}: expected a tokenizer with a "model", found none.`);
  const type = modelType(model);
  if ((type === "BPE" || type === "WordPiece") && isRecord(model.vocab)) {
    const vocab = readVocab(model.vocab, file);
    return type === "WordPiece" ? { ...model, type, vocab } : { ...model, type, vocab, merges: readMerges(model.merges, file) };
  }
  if (type === "Unigram" && Array.isArray(model.vocab) && model.vocab.length > 0 && model.vocab.every(isPiece)) {
    return { ...model, type, vocab: model.vocab };
  }
  throw new InputError(
    `${file}: expected a "model" of type "BPE", "WordPiece" or "Unigram" with its vocabulary, found ${JSON.stringify(type)}.`,
  );
}

/** Checks a parsed tokenizer.json and brings it to the form above. @throws InputError naming what is missing. */
export function readTokenizerJson(value: unknown, file: string): TokenizerJson {
  if (!isRecord(value)) throw new InputError(`${file}: expected a JSON object with a "model".`);
  const added = Array.isArray(value.added_tokens) ? value.added_tokens : [];
  return {
    added_tokens: added.map((token, index) => readAddedToken(token, file, index)),
    normalizer: readStep(value.normalizer, file, "normalizer"),
    pre_tokenizer: readStep(value.pre_tokenizer, file, "pre_tokenizer"),
    post_processor: readStep(value.post_processor, file, "post_processor"),
    decoder: readStep(value.decoder, file, "decoder"),
    model: readModel(value.model, file),
  };
}
