import { expect, test } from "vitest";
import { parseJsonText } from "../../src/files/parse-json.js";

const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

test("what JSON.parse gives, up to a depth of 500", () => {
  expect(parseJsonText(nested(500))).toEqual(JSON.parse(nested(500)));
  const brackets = JSON.stringify({ text: `${"[{".repeat(2000)}\\"` });
  expect(parseJsonText(brackets)).toEqual(JSON.parse(brackets));
});

test.each([501, 100_000])("a depth of %d is a SyntaxError in words, where JavaScript's own end is a full stack", (depth) => {
  expect(() => parseJsonText(nested(depth))).toThrow(new SyntaxError("it is nested more than 500 deep"));
});
