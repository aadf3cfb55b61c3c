import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Distinct, fingerprint, fingerprintOf, fingerprintOfText, shortKey } from "../../src/data/distinct.js";

// Made by tests/golden/fingerprints.py.
const golden = JSON.parse(readFileSync(new URL("../golden/fingerprints/golden.json", import.meta.url), "utf8")) as {
  words: number[];
  hash: number[];
}[];

test.each(golden)("the fingerprint of $words.length words is MurmurHash3's", ({ words, hash }) => {
  expect(fingerprint(Int32Array.from(words))).toEqual(hash);
});

test("lists that are parted otherwise, and texts that differ in one half of a word, differ", () => {
  const all = [fingerprintOf([1], [2]), fingerprintOf([1, 2], []), fingerprintOf([], [1, 2]), fingerprintOf([1, 2])].map(String);
  expect(new Set(all).size).toBe(4);
  const texts = ["", "\0", "a", "a\0", "ab", "b", "aé", "aĂ"].map((text) => String(fingerprintOfText(text)));
  expect(new Set(texts).size).toBe(8);
});

describe("distinct values", () => {
  test("are numbered as they are first met, many more than there was room for", () => {
    const found = new Distinct();
    const texts = Array.from({ length: 20_000 }, (_, index) => `text ${(index * 7919) % 5000}`);
    const numbers = texts.map((text) => found.number(fingerprintOfText(text)));
    const known = new Map<string, number>();
    for (const text of texts) if (!known.has(text)) known.set(text, known.size);
    expect(numbers).toEqual(texts.map((text) => known.get(text)));
    expect(found.size).toBe(5000);
    expect(found.has(fingerprintOfText("text 4999"))).toBe(true);
    expect(found.has(fingerprintOfText("text 5000"))).toBe(false);
  });

  test("whose fingerprints fall into one slot are told apart", () => {
    const found = new Distinct();
    const alike = Array.from({ length: 300 }, (_, index) => [7, 0, 0, index] as const);
    expect(alike.map((one) => found.number(one))).toEqual(alike.map((_, index) => index));
    expect(alike.map((one) => found.number(one))).toEqual(alike.map((_, index) => index));
  });
});

test("a key is a short text itself, or a short form of a long one", () => {
  expect(shortKey("what time is it?")).toBe("what time is it?");
  const [one, other] = [shortKey(`${"x".repeat(1e5)}a`), shortKey(`${"x".repeat(1e5)}b`)];
  expect(one).toMatch(/^[0-9a-f]{32}\/100001$/);
  expect(other).not.toBe(one);
});
