import { expect, test } from "vitest";
import { parseExpression } from "../../src/lora/combination/expression.js";

const parsed = (text: string) => Object.fromEntries(parseExpression(text).map(({ name, weight }) => [name, weight]));

test.each<[string, Record<string, number>]>([
  ["style", { style: 1 }],
  ["style + 0.5*domain - base_bias", { style: 1, domain: 0.5, base_bias: -1 }],
  ["style*2 + style", { style: 3 }],
  ["-(a - 2*(b + a))/4", { a: 0.25, b: 0.5 }],
  ["1e-2*a--b", { a: 0.01, b: 1 }],
  [".5*-a", { a: -0.5 }],
  ["2*3*a + b*2/4", { a: 6, b: 0.5 }],
  ["(1 + 2)*a", { a: 3 }],
  ["'runs/my-style' + \"d 2\"", { "runs/my-style": 1, "d 2": 1 }],
  ["a - a", { a: 0 }],
  ["größe + __proto__", { größe: 1 }],
])("%s", (text, weights) => {
  expect(parsed(text)).toMatchObject(weights);
});

test.each<[string, string, number]>([
  ["style + ", "expected a name, a number or (, found the end", 8],
  ["style domain", 'expected +, - or the end, found "domain"', 6],
  ["2style", 'expected +, - or the end, found "style"', 1],
  ["style * domain", "an adapter is multiplied by numbers, not by an adapter", 6],
  ["style + 1", "a number and an adapter cannot be added; multiply them (0.5*name)", 6],
  ["2 / style", "nothing is divided by an adapter", 2],
  ["style / 0", "nothing is divided by zero", 6],
  ["(style", "expected ), found the end", 6],
  ["style)", 'expected +, - or the end, found ")"', 5],
  ["style + my§style", '"§" means nothing here', 10],
  ["a + 'b", "the quotation mark is not closed", 4],
  ["a + ''", "a name has at least one character", 4],
  ["1 + 2", "expected a sum of adapters, found the number 3", 0],
  ["", "expected a name, a number or (, found the end", 0],
  ["1e999*a", "the number is too large", 0],
])("%s is refused at its place", (text, message, at) => {
  const problem = (() => {
    try {
      return String(parseExpression(text));
    } catch (error) {
      return (error as Error).message;
    }
  })();
  const [first, shown, caret] = problem.split("\n");
  expect(first).toContain(`at character ${at + 1}: ${message}`);
  expect(shown).toBe(`  ${text}`);
  expect(caret).toBe(`  ${" ".repeat(at)}^`);
});

test("a long expression shows what is around the place; deep parentheses end in words", () => {
  expect(() => parseExpression(`${"a + ".repeat(200)}§`)).toThrow(/character 801.*\n {2}….{60}§\n {2} {61}\^$/);
  expect(() => parseExpression("(".repeat(5000))).toThrow(/more than 100 parentheses/);
  expect(() => parseExpression("a+".repeat(10_000))).toThrow(/20000 characters is too long/);
});
