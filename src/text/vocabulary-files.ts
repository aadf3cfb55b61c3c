import { InputError } from "../errors.js";
import { qwen2Words } from "./pipeline/patterns.js";
import type { Step } from "./tokenizer-json.js";

// Folders from before tokenizer.json: what the tokenizer classes of transformers make of their vocabulary files.

type Json = Readonly<Record<string, unknown>>;

/** Names of special tokens where a folder does not say them, by the kind of tokenizer. */
const bertNames = { unk_token: "[UNK]", sep_token: "[SEP]", pad_token: "[PAD]", cls_token: "[CLS]", mask_token: "[MASK]" } as const;
const robertaNames = {
  bos_token: "<s>",
  eos_token: "</s>",
  sep_token: "</s>",
  cls_token: "<s>",
  unk_token: "<unk>",
  pad_token: "<pad>",
  mask_token: "<mask>",
} as const;
const gpt2Names = { bos_token: "<|endoftext|>", eos_token: "<|endoftext|>", unk_token: "<|endoftext|>" } as const;
const qwen2Names = { eos_token: "<|endoftext|>", pad_token: "<|endoftext|>" } as const;

type Family = "bert" | "roberta" | "gpt2" | "qwen2";

/** The names that transformers' class of a family uses unless it is told others. */
export const defaultNames: Readonly<Record<Family, Readonly<Record<string, string>>>> = {
  bert: bertNames,
  roberta: robertaNames,
  gpt2: gpt2Names,
  qwen2: qwen2Names,
};

/** The family by the tokenizer's class (`RobertaTokenizerFast`) or the model's type. */
export function tokenizerFamily(tokenizerClass: unknown, modelType: unknown): Family | undefined {
  const name = (typeof tokenizerClass === "string" ? tokenizerClass : "").replace(/Tokenizer(Fast)?$/, "").toLowerCase();
  const families: Readonly<Record<string, Family>> = { bert: "bert", roberta: "roberta", gpt2: "gpt2", qwen2: "qwen2", qwen3: "qwen2" };
  for (const key of [name, String(modelType ?? "")]) if (Object.hasOwn(families, key)) return families[key];
  return undefined;
}

/** What stands in a folder beside its vocabulary. */
export interface VocabularySurroundings {
  readonly file: string;
  /** tokenizer_config.json. */
  readonly config: Json;
  readonly namedTokens: Readonly<Record<string, string>>;
}

interface Added {
  readonly id: number;
  readonly content: string;
  readonly [key: string]: unknown;
}

/** Added tokens of tokenizer_config.json, and the named tokens that the vocabulary holds. */
function addedTokens(vocabulary: ReadonlyMap<string, number>, { config, namedTokens }: VocabularySurroundings): Added[] {
  const listed = Object.entries((config.added_tokens_decoder ?? {}) as Readonly<Record<string, Json>>);
  const added: Added[] = listed.map(([id, token]) => ({ ...token, id: Number(id), content: String(token.content) }));
  for (const [name, content] of Object.entries(namedTokens)) {
    const id = vocabulary.get(content);
    if (id === undefined || added.some((token) => token.content === content)) continue;
    added.push({ id, content, special: true, normalized: false, lstrip: name === "mask_token" && content === robertaNames.mask_token });
  }
  return added;
}

const required = (vocabulary: ReadonlyMap<string, number>, token: string | undefined, file: string): [string, number] => {
  const id = token === undefined ? undefined : vocabulary.get(token);
  if (token !== undefined && id !== undefined) return [token, id];
  throw new InputError(`${file}: the vocabulary lacks the token ${JSON.stringify(token)}, which stands around texts.`);
};

/** The tokenizer.json of a BERT's vocab.txt: a token a line, in the order of the ids. @throws InputError where a needed token is missing. */
export function tokenizerOfVocabTxt(text: string, surroundings: VocabularySurroundings): Json {
  const { config, namedTokens, file } = surroundings;
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const vocabulary = new Map(lines.map((token, id) => [token, id]));
  const normalizer: Step = {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: config.tokenize_chinese_chars !== false,
    strip_accents: config.strip_accents ?? null,
    lowercase: config.do_lower_case !== false,
  };
  return {
    added_tokens: addedTokens(vocabulary, surroundings),
    normalizer,
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "BertProcessing",
      cls: required(vocabulary, namedTokens.cls_token, file),
      sep: required(vocabulary, namedTokens.sep_token, file),
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: { type: "WordPiece", unk_token: namedTokens.unk_token, vocab: Object.fromEntries(vocabulary) },
  };
}

/** The tokenizer.json of a vocab.json with merges.txt: byte-level BPE of GPT-2, RoBERTa and Qwen 2. */
export function tokenizerOfMerges(
  vocab: Json,
  merges: string,
  family: Exclude<Family, "bert">,
  surroundings: VocabularySurroundings,
): Json {
  const { config, namedTokens, file } = surroundings;
  const vocabulary = new Map(Object.entries(vocab).map(([token, id]) => [token, Number(id)]));
  const byteLevel: Step = { type: "ByteLevel", add_prefix_space: config.add_prefix_space === true, use_regex: family !== "qwen2" };
  const split: Step = { type: "Split", pattern: { Regex: qwen2Words }, behavior: "Isolated", invert: false };
  const around = () => ({
    type: "RobertaProcessing",
    cls: required(vocabulary, namedTokens.cls_token, file),
    sep: required(vocabulary, namedTokens.sep_token, file),
  });
  return {
    added_tokens: addedTokens(vocabulary, surroundings),
    normalizer: family === "qwen2" ? { type: "NFC" } : null,
    pre_tokenizer: family === "qwen2" ? { type: "Sequence", pretokenizers: [split, byteLevel] } : byteLevel,
    post_processor: family === "roberta" ? around() : null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab,
      merges: merges.split(/\r?\n/).flatMap((line) => (line === "" || line.startsWith("#version") ? [] : [line.split(" ")])),
    },
  };
}
