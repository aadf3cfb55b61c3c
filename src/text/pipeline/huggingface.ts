import * as library from "@huggingface/tokenizers";

/** The two parts of `@huggingface/tokenizers` that serve here; its own declarations do not resolve under Node's module rules. */
interface UsedParts {
  /** Byte-pair encoding: the tokens of words. */
  readonly BPE: new (
    model: object,
  ) => { encode(words: string[]): string[] };
  /** Translates a pattern of Oniguruma to JavaScript. */
  readonly SplitPreTokenizer: new (
    step: object,
  ) => { readonly pattern: RegExp | null };
}

export const { BPE, SplitPreTokenizer } = library as unknown as UsedParts;
