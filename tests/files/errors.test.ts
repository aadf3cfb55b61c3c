import { expect, test } from "vitest";
import { InputError, RunError, reasonOf } from "../../src/errors.js";

test.each([InputError, RunError])("%o shows no more of a file than a person reads", (Kind) => {
  expect(new Kind("short").message).toBe("short");
  expect(new Kind(`key ${"x".repeat(100_000)}`).message).toHaveLength(2002);
  expect(new Kind("line\n".repeat(5000)).message.split("\n").at(-1)).toBe("… and 4801 more lines");
});

test("what a library only stumbles over is told in our words", () => {
  expect(reasonOf(new TypeError("Cannot read properties of undefined"), "the file is damaged")).toBe("the file is damaged");
  expect(reasonOf(new Error("page 3 has no header"), "the file is damaged")).toBe("page 3 has no header");
});
