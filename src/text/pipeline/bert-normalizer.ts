/** Settings of tokenizer.json's BertNormalizer. */
export interface BertNormalizerSettings {
  readonly cleanText: boolean;
  readonly chineseCharacters: boolean;
  readonly lowercase: boolean;
  /** Undefined: as `lowercase`. */
  readonly stripAccents: boolean | undefined;
}

/** Lower case character by character: JavaScript's own writes a sigma at the end of a word differently, Python's tokenizers does not. */
export const lowercase = (text: string): string =>
  text.includes("\u03a3") ? Array.from(text, (character) => character.toLowerCase()).join("") : text.toLowerCase();

/** The CJK ideographs of BERT's own list, each of which is a word. */
const ideographs =
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

/** Controls but tab and line ends vanish, other white space becomes a space. */
const clean = (text: string): string =>
  text.replace(/(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\ufffd]/gu, "").replace(/\p{White_Space}/gu, " ");

/**
 * BERT's basic tokenisation (Devlin et al. 2018, `BasicTokenizer`), as Python's tokenizers runs it. That library knows the
 * punctuation and accents of Unicode 8; of characters that came later, some 500 accents and 140 signs of rare scripts, a few
 * are treated differently here.
 */
export function bertNormalize(text: string, settings: BertNormalizerSettings): string {
  let out = settings.cleanText ? clean(text) : text;
  if (settings.chineseCharacters) out = out.replace(ideographs, " $& ");
  if (settings.stripAccents ?? settings.lowercase) out = out.normalize("NFD").replace(/\p{Mn}/gu, "");
  return settings.lowercase ? lowercase(out) : out;
}
