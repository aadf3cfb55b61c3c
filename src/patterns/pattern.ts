import { Matcher } from "./match.js";
import { compileProgram, type PatternFlags } from "./program.js";

/** What is found in a text: the stretches that match, one behind the other. */
export interface Pattern {
  matchAll(text: string): Iterable<{ readonly index: number; readonly 0: string }>;
}

/**
 * A regular expression of JavaScript that comes from outside: it finds what the language's own would (the alternatives in their order),
 * but in time and memory in proportion to the length of the text, so that none can keep a thread busy for ever. Groups are not told, and a
 * reference to one is refused. Where a round of a repetition may be empty, another match at the same place may be preferred, as in RE2.
 *
 * @throws Error in words
 */
export function compilePattern(source: string, flags: PatternFlags): Pattern {
  const program = compileProgram(source, flags);
  return {
    *matchAll(text) {
      const matcher = new Matcher(program, text);
      for (let at = 0; at <= text.length; ) {
        const end = matcher.endOf(at);
        if (end >= 0) yield { index: at, 0: text.slice(at, end) };
        at = end > at ? end : at + (program.unicode && (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
      }
    },
  };
}

/** True for a text that an expression matches from start to end. @throws Error in words */
export function compileTest(source: string, flags: PatternFlags): (text: string) => boolean {
  const program = compileProgram(`^(?:${source})$`, flags);
  return (text) => new Matcher(program, text).endOf(0) >= 0;
}

/** The text with each match of a pattern replaced. */
export function replaceAll(text: string, pattern: Pattern, content: string): string {
  const parts: string[] = [];
  let from = 0;
  for (const { index, 0: match } of pattern.matchAll(text)) {
    parts.push(text.slice(from, index), content);
    from = index + match.length;
  }
  parts.push(text.slice(from));
  return parts.join("");
}
