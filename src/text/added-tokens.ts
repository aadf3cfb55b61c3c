import { trimEnd, trimStart } from "./pipeline/patterns.js";
import type { AddedToken } from "./tokenizer-json.js";

/** A piece of text between added tokens, or an added token. Offsets are UTF-16 indexes. */
export type Piece = { readonly start: number; readonly end: number; readonly token?: AddedToken };

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

const wordCharacter = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

/** True when a character of a word stands before or after the stretch. */
const touchesWord = (text: string, start: number, end: number): boolean =>
  wordCharacter.test(Array.from(text.slice(Math.max(0, start - 2), start)).at(-1) ?? "") ||
  wordCharacter.test(Array.from(text.slice(end, end + 2))[0] ?? "");

/** Splits at the given tokens, leftmost and longest first; whitespace that a token claims (lstrip, rstrip) vanishes with it. */
export function splitAtTokens(text: string, tokens: readonly AddedToken[], offset = 0): Piece[] {
  if (tokens.length === 0) return text === "" ? [] : [{ start: offset, end: offset + text.length }];
  const { pattern, byContent } = finderOf(tokens);
  const pieces: Piece[] = [];
  let from = 0;
  const pushText = (start: number, end: number) => {
    if (end > start) pieces.push({ start: offset + start, end: offset + end });
  };
  for (const match of text.matchAll(pattern)) {
    const token = byContent.get(match[0]);
    if (token === undefined || (token.singleWord && touchesWord(text, match.index, match.index + match[0].length))) continue;
    const before = text.slice(from, match.index);
    pushText(from, from + (token.lstrip ? trimEnd(before) : before).length);
    from = match.index + match[0].length;
    pieces.push({ start: offset + match.index, end: offset + from, token });
    if (token.rstrip) from += text.length - from - trimStart(text.slice(from)).length;
  }
  pushText(from, text.length);
  return pieces;
}

interface Finder {
  readonly pattern: RegExp;
  readonly byContent: ReadonlyMap<string, AddedToken>;
}

/** Lists of tokens are few and long-lived: their search pattern is made once. */
const finders = new WeakMap<readonly AddedToken[], Finder>();

function finderOf(tokens: readonly AddedToken[]): Finder {
  const known = finders.get(tokens);
  if (known !== undefined) return known;
  const longestFirst = tokens.map((token) => token.content).sort((one, other) => other.length - one.length);
  const finder = {
    pattern: new RegExp(longestFirst.map(escapeRegExp).join("|"), "gu"),
    byContent: new Map(tokens.map((token) => [token.content, token])),
  };
  finders.set(tokens, finder);
  return finder;
}
