import { InputError } from "../../errors.js";
import type { Pattern } from "../../patterns/pattern.js";
import { byteLevelForm } from "../byte-alphabet.js";
import type { Step } from "../tokenizer-json.js";
import { gpt2Words, ownPattern, patternOf, punctuation } from "./patterns.js";
import { remembered } from "./remembered.js";

/** Cuts a piece of normalised text into words, of which the model makes tokens. `atStart`: the piece opens the sequence. */
export type PreTokenize = (piece: string, atStart: boolean) => string[];

type Create = (step: Step, file: string) => PreTokenize;

/** What becomes of the stretches at which a text is split. */
type Behavior = "removed" | "isolated" | "mergedwithprevious" | "mergedwithnext" | "contiguous";
const behaviors: readonly string[] = ["removed", "isolated", "mergedwithprevious", "mergedwithnext", "contiguous"] satisfies Behavior[];

interface Stretch {
  readonly text: string;
  readonly isMatch: boolean;
}

/** The text as matches and what lies between them; `invert` swaps the two. */
function stretchesOf(text: string, pattern: Pattern, invert: boolean): Stretch[] {
  const found: Stretch[] = [];
  let from = 0;
  for (const { index, 0: match } of pattern.matchAll(text)) {
    if (match === "") continue;
    if (index > from) found.push({ text: text.slice(from, index), isMatch: invert });
    found.push({ text: match, isMatch: !invert });
    from = index + match.length;
  }
  if (from < text.length) found.push({ text: text.slice(from), isMatch: invert });
  return found;
}

/** Splits as `SplitDelimiterBehavior` of Hugging Face tokenizers says. */
function split(text: string, pattern: Pattern, behavior: Behavior, invert = false): string[] {
  const stretches = stretchesOf(text, pattern, invert);
  if (behavior === "removed") return stretches.filter((one) => !one.isMatch).map((one) => one.text);
  const pieces: string[] = [];
  stretches.forEach(({ text: piece, isMatch }, index) => {
    const before = stretches[index - 1]?.isMatch;
    const joins =
      (behavior === "mergedwithprevious" && isMatch && before === false) ||
      (behavior === "mergedwithnext" && !isMatch && before === true) ||
      (behavior === "contiguous" && isMatch === before);
    if (joins) pieces.push((pieces.pop() ?? "") + piece);
    else pieces.push(piece);
  });
  return pieces;
}

const gpt2Pattern = ownPattern(new RegExp(gpt2Words, "gu"));
const whiteSpace = ownPattern(/\p{White_Space}/gu);
const digits = ownPattern(/\p{N}/gu);
const marks = ownPattern(punctuation);
// \w of the regex crate (Unicode Technical Standard 18, annex C).
const wordOrSigns = ownPattern(
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
);

function behaviorOf(step: Step, otherwise: Behavior, file: string): Behavior {
  const behavior = String(step.behavior ?? otherwise).toLowerCase();
  if (behaviors.includes(behavior)) return behavior as Behavior;
  throw new InputError(
    `${file}: its pre-tokenizer splits with behaviour ${JSON.stringify(step.behavior)}; known are ${behaviors.join(", ")}.`,
  );
}

/** SentencePiece's spaces: each becomes U+2581, and one is put before the text, always or where it opens the sequence. */
function metaspace(step: Step): PreTokenize {
  const replacement = String(step.replacement ?? "\u2581");
  const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always");
  const cutBefore = ownPattern(new RegExp(replacement.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gu"));
  return (piece, atStart) => {
    const spaced = piece.replaceAll(" ", replacement);
    const prepends = (scheme === "always" || (scheme === "first" && atStart)) && !spaced.startsWith(replacement);
    const text = prepends ? replacement + spaced : spaced;
    return step.split === false ? [text] : split(text, cutBefore, "mergedwithnext");
  };
}

const create: Readonly<Record<string, Create>> = {
  ByteLevel(step) {
    const form = remembered(byteLevelForm);
    return (piece) => {
      const text = step.add_prefix_space === true && !piece.startsWith(" ") ? ` ${piece}` : piece;
      return (step.use_regex === false ? [text] : split(text, gpt2Pattern, "isolated")).map(form);
    };
  },
  Split(step, file) {
    const pattern = patternOf(step.pattern, file);
    const behavior = behaviorOf(step, "isolated", file);
    return (piece) => split(piece, pattern, behavior, step.invert === true);
  },
  Digits: (step) => (piece) => split(piece, digits, step.individual_digits === true ? "isolated" : "contiguous"),
  Punctuation(step, file) {
    const behavior = behaviorOf(step, "isolated", file);
    return (piece) => split(piece, marks, behavior);
  },
  BertPreTokenizer: () => (piece) => split(piece, whiteSpace, "removed").flatMap((word) => split(word, marks, "isolated")),
  Whitespace: () => (piece) => split(piece, wordOrSigns, "removed", true),
  WhitespaceSplit: () => (piece) => split(piece, whiteSpace, "removed"),
  Metaspace: metaspace,
  Sequence(step, file) {
    const steps = Array.isArray(step.pretokenizers) ? (step.pretokenizers as readonly Step[]) : [];
    const inner = steps.map((one) => createPreTokenizer(one, file));
    // Where white space in front was removed, what follows opens nothing.
    return (piece, atStart) =>
      inner.reduce(
        (pieces, cut) => pieces.flatMap((one, index) => cut(one, atStart && index === 0 && piece.startsWith(one))),
        piece === "" ? [] : [piece],
      );
  },
};

/** The pre-tokenizer of a tokenizer.json, equal to that of Python's tokenizers. @throws InputError for a kind that is not known. */
export function createPreTokenizer(step: Step | null, file: string): PreTokenize {
  if (step === null) return (piece) => [piece];
  const known = Object.hasOwn(create, step.type) ? create[step.type] : undefined;
  if (known !== undefined) return known(step, file);
  throw new InputError(`${file}: unknown pre-tokenizer ${JSON.stringify(step.type)}; known are ${Object.keys(create).join(", ")}.`);
}
