import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compilePattern, compileTest, replaceAll } from "../../src/patterns/pattern.js";
import { llama3Words, o200kWords } from "../../src/text/pipeline/patterns.js";

const RUNS = Number(process.env.PATTERN_RUNS ?? 500);

// What a pattern finds is compared with the language's own regular expressions.

/** Without what V8 finds within a character of two units (an empty match, which the standard does not have there). */
const foundBy = (source: string, text: string): string[] =>
  [...text.matchAll(new RegExp(source, "gu"))]
    .filter(({ index }) => index === 0 || (text.codePointAt(index - 1) ?? 0) <= 0xffff)
    .map(({ index, 0: match }) => `${index}:${match}`);
const found = (source: string, text: string, unicode = true): string[] =>
  [...compilePattern(source, { unicode }).matchAll(text)].map(({ index, 0: match }) => `${index}:${match}`);

const characters = fc.constantFrom("a", "b", " ", "👍", "é", ".", "\\w", "\\S", "[^b]", "[ab]", "\\p{L}");

/** Sources of expressions over a few letters, with every kind of part. `opening`: what a repeated group begins with. */
const sourcesWith = (opening: fc.Arbitrary<string>) =>
  fc.letrec<{ alternatives: string; sequence: string; piece: string; repeated: string }>((tie) => ({
    alternatives: fc.array(tie("sequence"), { minLength: 1, maxLength: 3 }).map((parts) => parts.join("|")),
    sequence: fc.array(tie("piece"), { maxLength: 4 }).map((parts) => parts.join("")),
    piece: fc.oneof(
      { depthSize: "small" },
      characters,
      fc
        .tuple(tie("repeated"), fc.constantFrom("*", "+", "*?", "+?", "{2}", "{1,3}", "{0,2}?", "?", "??", "{2,}"))
        .map((parts) => parts.join("")),
      fc.constantFrom("^", "$", "\\b", "\\B"),
      tie("alternatives").chain((inner) =>
        fc.constantFrom(`(?:${inner})`, `(?=${inner})`, `(?!${inner})`, `(?<=${inner})`, `(?<!${inner})`),
      ),
    ),
    repeated: fc.oneof(
      { depthSize: "small" },
      characters,
      fc.tuple(opening, tie("alternatives")).map(([first, inner]) => `(${first}(?:${inner}))`),
    ),
  })).alternatives;
const texts = fc.string({ unit: fc.constantFrom("a", "b", " ", "👍", "é", "\n"), maxLength: 9 });

describe("a pattern finds what the language's own finds", () => {
  // Where a round of a repetition may be empty, another match of the same text may come first.
  test("in any text", () =>
    fc.assert(
      fc.property(sourcesWith(characters), texts, (source, text) => {
        expect(found(source, text)).toEqual(foundBy(source, text));
      }),
      { numRuns: RUNS },
    ));

  test("and of whole texts, unit by unit", () =>
    fc.assert(
      fc.property(sourcesWith(fc.constant("")), texts, (source, text) => {
        const plain = source.replaceAll("\\p{L}", "b");
        expect(compileTest(plain, { dotAll: true })(text)).toBe(new RegExp(`^(?:${plain})$`, "s").test(text));
      }),
      { numRuns: RUNS },
    ));

  test.each([
    llama3Words.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'s|'t"),
    o200kWords.replaceAll("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'s)"),
  ])("with the words of a tokenizer", (source) => {
    const text = "It's  12345 Über-Straße\r\n\n  naïve 汉字 👍🏽 ½ don't\t!? x_y\u00a0z  ".repeat(3);
    expect(found(source, text)).toEqual(foundBy(source, text));
  });
});

test("an expression that would take the language for ever is quick, in any length", () => {
  const text = `${"a".repeat(50_000)}b`;
  for (const source of [
    "(a+)+$",
    "(a|a)*c",
    "(.*)*x",
    "(a?){50}c",
    "(?=(a*)*c)a",
    "(?<=(a*)*c)b",
    "(?!(a|aa)+c)b$",
    "a*a*a*a*c",
    "(?:a*)*(?:a*)*c",
  ]) {
    const ours = found(source, text);
    expect(ours.length, source).toBeLessThan(3);
  }
  expect(found("a*c|a", "a".repeat(30_000))).toHaveLength(30_000);
  expect(compileTest("(a+)+", {})("a".repeat(60))).toBe(true);
});

test("what cannot be bound, or is none, is refused in words", () => {
  expect(() => compilePattern("(a)\\1", {})).toThrow("it refers back to what a group matched (\\1)");
  expect(() => compilePattern("((a{100}){100}){100}", {})).toThrow("written out, its repetitions are more than 20000 steps");
  expect(() => compilePattern("(", {})).toThrow(/Unterminated group/);
  expect(() => compilePattern("(?:".repeat(20_000) + ")".repeat(20_000), {})).toThrow();
});

test("the matches of a text are replaced", () => {
  expect(replaceAll("a  b   c", compilePattern(" {2,}", { unicode: true }), "_")).toBe("a_b_c");
  expect(replaceAll("ab", compilePattern("x*", {}), "-")).toBe("ab".replace(/x*/g, () => "-"));
});
