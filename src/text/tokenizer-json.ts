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
}

/** The parts of a tokenizer.json that Lorikeet uses. `post_processor` is kept to learn which tokens open a text. */
export interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: Step | null;
  readonly pre_tokenizer: Step | null;
  readonly post_processor: Step | null;
  readonly decoder: Step | null;
  readonly model: { readonly type: string; readonly vocab: Readonly<Record<string, number>>; readonly [key: string]: unknown };
}

/** The GPT-2 splitting rule, written out so that \s means Unicode's White_Space as in Python's `tokenizers`. */
const gpt2Words = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

export const isolate = (regex: string): Step => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
export const sequence = (...pretokenizers: Step[]): Step => ({ type: "Sequence", pretokenizers });
/** Bytes become the printable alphabet, after the words have been split by the steps before. */
export const byteLevel: Step = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
export const gpt2Split: Step = isolate(gpt2Words);

/**
 * Rewrites the pre-tokenizers that `@huggingface/tokenizers` 0.2 executes differently from Python's `tokenizers`, which made
 * the checkpoint: its ByteLevel splits with JavaScript's \s (with U+FEFF, without U+0085), its Digits knows ASCII digits alone
 * (Python: every character of category N). Splits with a behaviour that it ignores are refused: wrong ids are silent.
 */
function faithfulPreTokenizer(step: Step | null, file: string): Step | null {
  if (step === null) return null;
  if (step.type === "Sequence" && Array.isArray(step.pretokenizers)) {
    const steps = step.pretokenizers as readonly Step[];
    return { ...step, pretokenizers: steps.map((inner) => faithfulPreTokenizer(inner, file)) };
  }
  if (step.type === "ByteLevel" && step.use_regex !== false && step.add_prefix_space !== true) {
    return sequence(gpt2Split, { ...step, use_regex: false });
  }
  if (step.type === "Digits") return isolate(step.individual_digits === true ? "\\p{N}" : "\\p{N}+");
  if (step.type === "Split" && step.invert !== true && !["isolated", "removed"].includes(String(step.behavior).toLowerCase())) {
    throw new InputError(
      `${file}: its pre-tokenizer splits with behaviour ${JSON.stringify(step.behavior)}; expected "Isolated" or "Removed". ` +
        "This tokenizer cannot be run exactly here; use a model of another family.",
    );
  }
  return step;
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
  const { id, content, special, lstrip, rstrip } = value;
  return { id: Number(id), content, special: special === true, lstrip: lstrip === true, rstrip: rstrip === true };
}

/** Checks a parsed tokenizer.json and brings it to the form above. @throws InputError naming what is missing. */
export function readTokenizerJson(value: unknown, file: string): TokenizerJson {
  if (!isRecord(value)) throw new InputError(`${file}: expected a JSON object with a "model".`);
  const model = value.model;
  if (!isRecord(model) || !isRecord(model.vocab) || (model.type !== undefined && model.type !== "BPE")) {
    const found = isRecord(model) ? JSON.stringify(model.type) : "none";
    throw new InputError(`${file}: expected a tokenizer with a "model" of type "BPE", found ${found}.`);
  }
  const vocab = model.vocab as Record<string, number>;
  const added = Array.isArray(value.added_tokens) ? value.added_tokens : [];
  return {
    added_tokens: added.map((token, index) => readAddedToken(token, file, index)),
    normalizer: readStep(value.normalizer, file, "normalizer"),
    pre_tokenizer: faithfulPreTokenizer(readStep(value.pre_tokenizer, file, "pre_tokenizer"), file),
    post_processor: readStep(value.post_processor, file, "post_processor"),
    decoder: readStep(value.decoder, file, "decoder"),
    model: { ...model, type: "BPE", vocab, merges: Array.isArray(model.merges) ? model.merges : [] },
  };
}
