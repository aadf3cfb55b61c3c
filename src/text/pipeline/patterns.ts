import { InputError } from "../../errors.js";
import { SplitPreTokenizer } from "./huggingface.js";

// JavaScript's \s holds U+FEFF and lacks U+0085; Python's tokenizers means Unicode's White_Space, so it is always written out.

/** GPT-2's words (Radford et al. 2019), which ByteLevel splits at. */
export const gpt2Words =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+";

/** The words of Qwen 2 and 3, as Oniguruma reads them. */
export const qwen2Words =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Punctuation as BERT counts it: Unicode's, and every ASCII character that is neither letter, digit nor space. */
export const punctuation = /[\p{P}!-/:-@[-`{-~]/gu;

export const trimStart = (text: string): string => text.replace(/^\p{White_Space}+/u, "");

/** Written without a regular expression that could look at each run of spaces more than once. */
export function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/**
 * The `{ "Regex" }` or `{ "String" }` of a tokenizer.json as a global expression. Regular expressions there are Oniguruma's;
 * `@huggingface/tokenizers` translates them. @throws InputError where that is impossible.
 */
export function patternOf(value: unknown, file: string): RegExp {
  if (!isPattern(value))
    throw new InputError(`${file}: expected a pattern of the form {"Regex"} or {"String"}, found ${JSON.stringify(value)}.`);
  try {
    const { pattern } = new SplitPreTokenizer({ type: "Split", pattern: value, behavior: "Isolated", invert: true });
    if (pattern !== null) return pattern;
    throw new SyntaxError("it means nothing");
  } catch (cause) {
    throw new InputError(`${file}: its pattern ${JSON.stringify(value)} cannot be run here: ${(cause as Error).message}`, { cause });
  }
}

const isPattern = (value: unknown): boolean => {
  const { Regex: expression, String: text }: { Regex?: unknown; String?: unknown } = Object(value);
  return typeof (expression ?? text) === "string";
};
