import { describe, expect, it } from "vitest";
import { exactMatch, NORMALISER_NAMES, NORMALISERS } from "../../src/evaluation/exact-match.js";

describe("exactMatch", () => {
  it.each([
    ["none", "Paris", "Paris", true],
    ["none", "Paris", "Paris ", false],
    ["whitespace", "a b", "  a \n\t b ", true],
    ["whitespace", "a b", "ab", false],
    ["whitespace", "Paris", "paris", false],
    ["loose", "Paris", "paris.", true],
    ["loose", "the cat", "The cat!", true],
    ["loose", "the cat", "a cat", false],
    ["loose", "well-known", "well known", true],
    ["loose", '"yes"', "Yes", true],
    ["loose", "-5", "5", false],
    ["loose", "1.5", "15", false],
    ["loose", "3.", "3", true],
    ["loose", "1 + 2", "1 2", false],
    ["loose", "ﬁsh", "FISH", true],
    ["loose", "café", "cafe\u0301", true],
    ["loose", "「東京」", "東京", true],
  ] as const)("%s: %j and %j → %s", (normaliser, expected, actual, equal) => {
    expect(exactMatch(expected, actual, normaliser)).toBe(equal);
  });

  it("normalising twice changes nothing", () => {
    for (const name of NORMALISER_NAMES) {
      const once = NORMALISERS[name]("  Ａ  b, -3.5 “c” … É ");
      expect(NORMALISERS[name](once)).toBe(once);
    }
  });

  it("names every normaliser there is", () => {
    expect([...NORMALISER_NAMES].sort()).toEqual(Object.keys(NORMALISERS).sort());
  });
});
