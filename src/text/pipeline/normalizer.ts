import { InputError } from "../../errors.js";
import { replaceAll } from "../../patterns/pattern.js";
import type { Step } from "../tokenizer-json.js";
import { bertNormalize, lowercase } from "./bert-normalizer.js";
import { patternOf, trimEnd, trimStart } from "./patterns.js";
import { createPrecompiledNormalizer } from "./precompiled-normalizer.js";

/** Brings a text to the form in which the vocabulary is looked up. */
export type Normalize = (text: string) => string;

type Create = (step: Step, file: string) => Normalize;

const unicodeForm =
  (form: "NFC" | "NFD" | "NFKC" | "NFKD"): Create =>
  () =>
  (text) =>
    text.normalize(form);

const create: Readonly<Record<string, Create>> = {
  NFC: unicodeForm("NFC"),
  NFD: unicodeForm("NFD"),
  NFKC: unicodeForm("NFKC"),
  NFKD: unicodeForm("NFKD"),
  Lowercase: () => lowercase,
  StripAccents: () => (text) => text.replace(/\p{M}/gu, ""),
  Strip: (step) => (text) => {
    const left = step.strip_left === false ? text : trimStart(text);
    return step.strip_right === false ? left : trimEnd(left);
  },
  Prepend: (step) => (text) => (text === "" ? "" : String(step.prepend) + text),
  Replace(step, file) {
    const pattern = patternOf(step.pattern, file);
    const content = String(step.content ?? "");
    return (text) => replaceAll(text, pattern, content);
  },
  Precompiled: (step, file) => createPrecompiledNormalizer(String(step.precompiled_charsmap ?? ""), file),
  BertNormalizer(step) {
    const settings = {
      cleanText: step.clean_text !== false,
      chineseCharacters: step.handle_chinese_chars !== false,
      lowercase: step.lowercase !== false,
      stripAccents: typeof step.strip_accents === "boolean" ? step.strip_accents : undefined,
    };
    return (text) => bertNormalize(text, settings);
  },
  Sequence(step, file) {
    const inner = (Array.isArray(step.normalizers) ? (step.normalizers as readonly Step[]) : []).map((one) => createNormalizer(one, file));
    return (text) => inner.reduce((normal, normalize) => normalize(normal), text);
  },
};

/** The normalizer of a tokenizer.json, equal to that of Python's tokenizers. @throws InputError for a kind that is not known. */
export function createNormalizer(step: Step | null, file: string): Normalize {
  if (step === null) return (text) => text;
  const known = Object.hasOwn(create, step.type) ? create[step.type] : undefined;
  if (known !== undefined) return known(step, file);
  throw new InputError(`${file}: unknown normalizer ${JSON.stringify(step.type)}; known are ${Object.keys(create).join(", ")}.`);
}
