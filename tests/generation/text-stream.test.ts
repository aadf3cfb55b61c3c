import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TextStream } from "../../src/generation/text-stream.js";

/** A tokenizer whose tokens are bytes: the hardest for a stream, since every character beyond ASCII is split. */
const decodeBytes = (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids));
const bytesOf = (text: string) => [...new TextEncoder().encode(text)];

/** Tokens that are pieces of text. */
const pieces =
  (...texts: readonly string[]) =>
  (ids: readonly number[]) =>
    ids.map((id) => texts[id]).join("");

/** What each token shows, and what the end does. */
function shown(stream: TextStream, ids: readonly number[]): string[] {
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

describe("characters", () => {
  test("an emoji comes out whole, with its last byte", () => {
    expect(shown(new TextStream(decodeBytes), bytesOf("a🦜b"))).toEqual(["a", "", "", "", "🦜", "b", ""]);
  });

  test("a character that is never finished is shown as what it is, at the end", () => {
    const [first, second] = bytesOf("🦜");
    expect(shown(new TextStream(decodeBytes), [...bytesOf("ok"), first!, second!])).toEqual(["o", "k", "", "", "\uFFFD"]);
  });

  test("a byte that belongs to no character holds nothing up for long", () => {
    expect(shown(new TextStream(decodeBytes), [0xff, ...bytesOf("xy")])).toEqual(["", "\uFFFDx", "y", ""]);
  });
});

describe("stop strings", () => {
  test("text that may become one is held back, and let go when it does not", () => {
    const stream = new TextStream(pieces("Hello ", "<", "end", "ing", "> now"), ["<end>"]);
    expect(shown(stream, [0, 1, 2, 3, 4])).toEqual(["Hello ", "", "", "<ending", "> now", ""]);
    expect(stream.stopped).toBe(false);
  });

  test("one that spans tokens ends the text before it, and nothing comes after", () => {
    const stream = new TextStream(pieces("Hello ", "<", "end", "> more", " and more"), ["<end>"]);
    expect(stream.push(0)).toBe("Hello ");
    expect(stream.push(1)).toBe("");
    expect(stream.push(2)).toBe("");
    expect(stream.stopped).toBe(false);
    expect(stream.push(3)).toBe("");
    expect(stream.stopped).toBe(true);
    expect(stream.push(4)).toBe("");
    expect(stream.end()).toBe("");
  });

  test("one inside a token shows what stands before it", () => {
    expect(shown(new TextStream(pieces("one. Two. "), [". T"]), [0])).toEqual(["one", ""]);
  });

  test("the first of several wins", () => {
    expect(shown(new TextStream(pieces("abc", "de"), ["de", "c"]), [0, 1])).toEqual(["ab", "", ""]);
    expect(shown(new TextStream(pieces("ab", "cd"), ["d", "bcd"]), [0, 1])).toEqual(["a", "", ""]);
  });

  test("one that ends in an emoji is held back while the emoji is unfinished", () => {
    const stream = new TextStream(decodeBytes, ["END🦜"]);
    expect(shown(stream, bytesOf("xEND🦜y")).join("")).toBe("x");
    expect(shown(new TextStream(decodeBytes, ["END🦜"]), bytesOf("xEND🦊y")).join("")).toBe("xEND🦊y");
  });

  test("a beginning of one is shown at the end", () => {
    expect(shown(new TextStream(pieces("a\n"), ["\n\n"]), [0])).toEqual(["a", "\n"]);
    expect(shown(new TextStream(pieces("aab", "aac"), ["aabaad"]), [0, 1])).toEqual(["", "aabaac", ""]);
  });

  test("an empty one stops nothing", () => {
    expect(shown(new TextStream(pieces("a", "b"), [""]), [0, 1])).toEqual(["a", "b", ""]);
  });
});

test("on any text and any stops, what is shown is the text up to the first stop that appears", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "é", "🦜", " "), maxLength: 24 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "é", "🦜"), minLength: 1, maxLength: 4 }), { maxLength: 3 });
  fc.assert(
    fc.property(letters, stops, (text, stopStrings) => {
      const stream = new TextStream(decodeBytes, stopStrings);
      let seen = "";
      for (const id of bytesOf(text)) {
        const piece = stream.push(id);
        seen += piece;
        expect(text.startsWith(seen)).toBe(true);
        expect(piece).not.toContain("\uFFFD");
        if (stream.stopped) break;
      }
      seen += stream.end();
      // Characters appear one by one, so that the stop that ends first is the first to appear; of two that end together, the longer.
      const ends = stopStrings.filter((stop) => text.includes(stop)).map((stop) => ({ stop, end: text.indexOf(stop) + stop.length }));
      const first = Math.min(...ends.map(({ end }) => end));
      const starts = ends.filter(({ end }) => end === first).map(({ stop, end }) => end - stop.length);
      expect(seen).toBe(ends.length === 0 ? text : text.slice(0, Math.min(...starts)));
    }),
    { numRuns: 500, seed: 7 },
  );
});
