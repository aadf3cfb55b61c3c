import { InputError } from "../../errors.js";
import type { TokenizerModel } from "../tokenizer-json.js";
import { BPE } from "./huggingface.js";
import { createUnigram } from "./unigram.js";
import { createWordPiece } from "./word-piece.js";

/** The tokens of a word. */
export type TokensOfWord = (word: string) => string[];

/** Neighbouring unknown tokens of a word are one. */
const fuse = (tokens: readonly string[], unknown: string): string[] =>
  tokens.filter((token, index) => token !== unknown || tokens[index - 1] !== unknown);

function createBytePairs(model: Extract<TokenizerModel, { type: "BPE" | "WordPiece" }>, file: string): TokensOfWord {
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (typeof model[key] === "string" && model[key] !== "") {
      throw new InputError(`${file}: byte-pair encoding with a "${key}" is not supported. Use a model of another family.`);
    }
  }
  const bytePairs = new BPE(model);
  const unknown = model.fuse_unk === true && typeof model.unk_token === "string" ? model.unk_token : undefined;
  return (word) => {
    const tokens = bytePairs.encode([word]);
    return unknown === undefined ? tokens : fuse(tokens, unknown);
  };
}

/**
 * The model of a tokenizer.json. Byte-pair encoding (Sennrich et al. 2016) is run by `@huggingface/tokenizers`.
 * @throws InputError for a variant that cannot be run exactly.
 */
export function createModel(model: TokenizerModel, vocabulary: ReadonlyMap<string, number>, file: string): TokensOfWord {
  switch (model.type) {
    case "BPE":
      return createBytePairs(model, file);
    case "WordPiece":
      return createWordPiece(vocabulary, {
        unknown: String(model.unk_token ?? "[UNK]"),
        prefix: String(model.continuing_subword_prefix ?? "##"),
        maxWordLength: Number(model.max_input_chars_per_word ?? 100),
      });
    case "Unigram":
      return createUnigram(model.vocab, {
        unknownId: typeof model.unk_id === "number" ? model.unk_id : undefined,
        byteFallback: model.byte_fallback === true,
      });
  }
}
