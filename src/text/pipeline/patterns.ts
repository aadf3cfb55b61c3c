import { InputError } from "../../errors.js";
import { compilePattern, type Pattern } from "../../patterns/pattern.js";
import { SplitPreTokenizer } from "./huggingface.js";

// JavaScript's \s holds U+FEFF and lacks U+0085; Python's tokenizers means Unicode's White_Space, so it is always written out.

/** GPT-2's words (Radford et al. 2019), which ByteLevel splits at. */
export const gpt2Words =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+";

/** The words of Qwen 2 and 3, as Oniguruma reads them. */
export const qwen2Words =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

// The splitting rules of further families, as the tokenizer.json of each family's own checkpoint writes them.

/** The words of Llama 3 and cl100k. */
export const llama3Words =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Those of Mistral's Tekken. */
export const tekkenWords =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|" +
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|" +
  "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Those of GPT-4o. */
export const o200kWords =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|" +
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|" +
  "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** What the engine of JavaScript takes time in proportion to a text for, as was looked at for each. */
const quickSources: ReadonlySet<string> = new Set([gpt2Words, qwen2Words, llama3Words, tekkenWords, o200kWords]);

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
 * The `{ "Regex" }` or `{ "String" }` of a tokenizer.json. Regular expressions there are Oniguruma's; `@huggingface/tokenizers` translates
 * them. One that is not known runs in bounded time. @throws InputError where that is impossible.
 */
export function patternOf(value: unknown, file: string): Pattern {
  if (!isPattern(value))
    throw new InputError(`${file}: expected a pattern of the form {"Regex"} or {"String"}, found ${JSON.stringify(value)}.`);
  try {
    const { pattern } = new SplitPreTokenizer({ type: "Split", pattern: value, behavior: "Isolated", invert: true });
    if (pattern === null) throw new SyntaxError("it means nothing");
    const { Regex: expression }: { Regex?: string } = Object(value);
    if (expression === undefined || quickSources.has(expression)) return ownPattern(pattern);
    return compilePattern(pattern.source, { unicode: pattern.unicode });
  } catch (cause) {
    throw new InputError(`${file}: its pattern ${JSON.stringify(value)} cannot be run here: ${(cause as Error).message}`, { cause });
  }
}

/** A regular expression that is known to be quick. */
export const ownPattern = (expression: RegExp): Pattern => ({ matchAll: (text) => text.matchAll(expression) });

const isPattern = (value: unknown): boolean => {
  const { Regex: expression, String: text }: { Regex?: unknown; String?: unknown } = Object(value);
  return typeof (expression ?? text) === "string";
};
