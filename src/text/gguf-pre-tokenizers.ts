import { InputError } from "../errors.js";
import type { Step } from "./tokenizer-json.js";

/** How a GGUF's `tokenizer.ggml.pre` splits text before byte-level BPE. */
export interface GgufPreTokenizer {
  readonly preTokenizer: Step;
  readonly normalizer: Step | null;
  /** A word that is a token is taken whole, whatever the merges say (tiktoken's way). */
  readonly ignoreMerges: boolean;
}

const isolate = (regex: string): Step => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
const sequence = (...pretokenizers: Step[]): Step => ({ type: "Sequence", pretokenizers });
/** Bytes become the printable alphabet; `words`: GPT-2's words are split first. */
const byteLevel = (words: boolean): Step => ({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: words });

// The splitting rules, as the tokenizer.json of each family's own checkpoint writes them.
const llama3Words =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const qwen2Words =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const tekkenWords =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|" +
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|" +
  "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const gpt2: GgufPreTokenizer = { preTokenizer: byteLevel(true), normalizer: null, ignoreMerges: false };
const digitsThenGpt2: GgufPreTokenizer = {
  preTokenizer: sequence({ type: "Digits", individual_digits: true }, byteLevel(true)),
  normalizer: null,
  ignoreMerges: false,
};
const llama3: GgufPreTokenizer = { preTokenizer: sequence(isolate(llama3Words), byteLevel(false)), normalizer: null, ignoreMerges: true };
const qwen2: GgufPreTokenizer = {
  preTokenizer: sequence(isolate(qwen2Words), byteLevel(false)),
  normalizer: { type: "NFC" },
  ignoreMerges: false,
};
const tekken: GgufPreTokenizer = { preTokenizer: sequence(isolate(tekkenWords), byteLevel(false)), normalizer: null, ignoreMerges: true };

const byName: Readonly<Record<string, GgufPreTokenizer>> = {
  default: gpt2,
  "gpt-2": gpt2,
  "phi-2": gpt2,
  olmo: gpt2,
  smollm: digitsThenGpt2,
  starcoder: digitsThenGpt2,
  refact: digitsThenGpt2,
  "command-r": digitsThenGpt2,
  "llama-bpe": llama3,
  llama3,
  "llama-v3": llama3,
  falcon3: llama3,
  qwen2,
  "deepseek-r1-qwen": qwen2,
  tekken,
};

/** @throws InputError listing the known names when the name is another. */
export function ggufPreTokenizer(name: string, file: string): GgufPreTokenizer {
  const known = Object.hasOwn(byName, name) ? byName[name] : undefined;
  if (known !== undefined) return known;
  throw new InputError(
    `${file}: unknown pre-tokenizer ${JSON.stringify(name)} in "tokenizer.ggml.pre"; known are ${Object.keys(byName).join(", ")}. ` +
      "Use the model's original folder (config.json, tokenizer.json, safetensors) instead of this GGUF.",
  );
}
