import { InputError } from "../errors.js";
import { llama3Words, o200kWords, qwen2Words, tekkenWords } from "./pipeline/patterns.js";
import type { Step } from "./tokenizer-json.js";

/** How a GGUF's `tokenizer.ggml.pre` splits text before byte-level BPE. */
export interface GgufPreTokenizer {
  readonly preTokenizer: Step;
  readonly normalizer: Step | null;
  /** A word that is a token is taken whole, whatever the merges say (tiktoken's way). */
  readonly ignoreMerges: boolean;
  /** Texts are opened with the beginning-of-sequence token where the metadata do not say. */
  readonly addsBos: boolean;
}

const isolate = (regex: string): Step => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
const sequence = (...pretokenizers: Step[]): Step => ({ type: "Sequence", pretokenizers });
/** Bytes become the printable alphabet; `words`: GPT-2's words are split first. */
const byteLevel = (words: boolean): Step => ({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: words });

/** A rule without the features that few have. */
const rule = (preTokenizer: Step, features: Partial<GgufPreTokenizer> = {}): GgufPreTokenizer => ({
  preTokenizer,
  normalizer: null,
  ignoreMerges: false,
  addsBos: false,
  ...features,
});

const words = (regex: string): Step => sequence(isolate(regex), byteLevel(false));

const gpt2 = rule(byteLevel(true));
const digitsThenGpt2 = rule(sequence({ type: "Digits", individual_digits: true }, byteLevel(true)));
const tiktoken = { ignoreMerges: true, addsBos: true };
const llama3 = rule(words(llama3Words), tiktoken);
/** Llama 3's words, merged step by step: Phi-4 (dbrx) and SmolLM3 (smaug-bpe). */
const cl100k = rule(words(llama3Words));
const qwen2 = rule(words(qwen2Words), { normalizer: { type: "NFC" } });
const tekken = rule(words(tekkenWords), tiktoken);
const o200k = rule(words(o200kWords));

/** Source of the names and of what else they say: `llama_vocab::impl::load` of llama.cpp. */
const byName: Readonly<Record<string, GgufPreTokenizer>> = {
  "gpt-2": gpt2,
  default: gpt2,
  "phi-2": gpt2,
  olmo: gpt2,
  "roberta-bpe": gpt2,
  smollm: digitsThenGpt2,
  starcoder: digitsThenGpt2,
  refact: digitsThenGpt2,
  "command-r": digitsThenGpt2,
  "llama-bpe": llama3,
  llama3,
  "llama-v3": llama3,
  falcon3: llama3,
  dbrx: cl100k,
  "smaug-bpe": cl100k,
  qwen2,
  "deepseek-r1-qwen": qwen2,
  tekken,
  "gpt-4o": o200k,
  llama4: o200k,
};

/** Each rule once, by the first of its names. */
export const ggufPreTokenizers: readonly (readonly [name: string, rule: GgufPreTokenizer])[] = Object.entries(byName).filter(
  ([, one], index, all) => all.findIndex(([, other]) => other === one) === index,
);

/** @throws InputError listing the known names when the name is another. */
export function ggufPreTokenizer(name: string, file: string): GgufPreTokenizer {
  const known = Object.hasOwn(byName, name) ? byName[name] : undefined;
  if (known !== undefined) return known;
  throw new InputError(
    `${file}: unknown pre-tokenizer ${JSON.stringify(name)} in "tokenizer.ggml.pre"; known are ${Object.keys(byName).join(", ")}. ` +
      "Use the model's original folder (config.json, tokenizer.json, safetensors) instead of this GGUF.",
  );
}
