import { InputError } from "../../errors.js";
import { replaceAll } from "../../patterns/pattern.js";
import { byteOfFallbackToken, bytesOfByteLevelToken } from "../byte-alphabet.js";
import type { Step } from "../tokenizer-json.js";
import { patternOf } from "./patterns.js";

/** Rewrites tokens on their way back to text; joined, the last step's tokens are the text. */
type DecodeStep = (tokens: readonly string[]) => string[];

type Create = (step: Step, file: string) => DecodeStep;

const encoder = new TextEncoder();
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Tokens of the byte alphabet as the text that their bytes make together; other tokens count as their own UTF-8. */
function joinByteLevel(tokens: readonly string[]): string[] {
  const parts = tokens.map((token) => bytesOfByteLevelToken(token) ?? encoder.encode(token));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return [lenient.decode(bytes)];
}

/** A run of byte tokens as text, or one replacement character a byte where it is no UTF-8. */
function textOfBytes(bytes: readonly number[]): string {
  try {
    return strict.decode(Uint8Array.from(bytes));
  } catch {
    return "\ufffd".repeat(bytes.length);
  }
}

function joinFallbackBytes(tokens: readonly string[]): string[] {
  const out: string[] = [];
  let run: number[] = [];
  for (const token of [...tokens, undefined]) {
    const byte = token === undefined ? undefined : byteOfFallbackToken(token);
    if (byte !== undefined) {
      run.push(byte);
      continue;
    }
    if (run.length > 0) out.push(textOfBytes(run));
    run = [];
    if (token !== undefined) out.push(token);
  }
  return out;
}

/** What English text written with spaces between words and signs wants closed up, in this order. */
const cleanUps: readonly [string, string][] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];
const cleanUp = (token: string): string => cleanUps.reduce((text, [from, to]) => text.replaceAll(from, to), token);

/** Up to `start` times the character off the front, up to `stop` times off the end. */
function strip(token: string, content: string, start: number, stop: number): string {
  let from = 0;
  let to = token.length;
  while (from < start && token.charAt(from) === content) from++;
  while (token.length - to < stop && to > from && token.charAt(to - 1) === content) to--;
  return token.slice(from, to);
}

const create: Readonly<Record<string, Create>> = {
  ByteLevel: () => joinByteLevel,
  ByteFallback: () => joinFallbackBytes,
  Fuse: () => (tokens) => [tokens.join("")],
  Strip: (step) => (tokens) =>
    tokens.map((token) => strip(token, String(step.content ?? " "), Number(step.start ?? 0), Number(step.stop ?? 0))),
  Replace(step, file) {
    const pattern = patternOf(step.pattern, file);
    const content = String(step.content ?? "");
    return (tokens) => tokens.map((token) => replaceAll(token, pattern, content));
  },
  Metaspace(step) {
    const replacement = String(step.replacement ?? "\u2581");
    const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always");
    return (tokens) => tokens.map((token, index) => token.replaceAll(replacement, index === 0 && scheme !== "never" ? "" : " "));
  },
  WordPiece(step) {
    const prefix = String(step.prefix ?? "##");
    return (tokens) =>
      tokens.map((token, index) => {
        const spaced = index === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
        return step.cleanup === false ? spaced : cleanUp(spaced);
      });
  },
  Sequence(step, file) {
    const inner = (Array.isArray(step.decoders) ? (step.decoders as readonly (Step | null)[]) : []).map((one) => createStep(one, file));
    return (tokens) => inner.reduce<readonly string[]>((all, run) => run(all), tokens) as string[];
  },
};

function createStep(step: Step | null, file: string): DecodeStep {
  const known = step !== null && Object.hasOwn(create, step.type) ? create[step.type] : undefined;
  if (step !== null && known !== undefined) return known(step, file);
  throw new InputError(`${file}: unknown decoder ${JSON.stringify(step?.type)}; known are ${Object.keys(create).join(", ")}.`);
}

/**
 * The decoder of a tokenizer.json, equal to that of Python's tokenizers: tokens to text; without one, tokens are joined by spaces.
 * @throws InputError for a kind that is not known.
 */
export function createDecoder(step: Step | null, file: string): (tokens: readonly string[]) => string {
  if (step === null) return (tokens) => tokens.join(" ");
  const run = createStep(step, file);
  return (tokens) => run(tokens).join("");
}
