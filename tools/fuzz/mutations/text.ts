import { damageBytes } from "./bytes.js";
import { type Mutation, once, pick, type Source } from "./mutation.js";

// Damage of text: other numbers and strings, lines in another order, deep nesting, and what is no UTF-8.

/** What may stand in place of a value, as a file of JSON or YAML writes it. */
export const fragments = [
  "null",
  "true",
  "-1",
  "0",
  "-0",
  "0.5",
  "1e308",
  "1e999",
  "-1e999",
  "NaN",
  "2147483648",
  "9007199254740993",
  "100000000",
  `1${"0".repeat(400)}`,
  '""',
  '"__proto__"',
  '"constructor"',
  '"\\ud800"',
  '"\\u0000"',
  '"("',
  '"(a+)+$"',
  '"[z-a]"',
  "[]",
  "{}",
  "[[]]",
  "[null]",
  '{"__proto__": {"polluted": true}}',
  '{"constructor": {"prototype": {"polluted": true}}}',
];

/** Brackets around nothing, deep enough to end a stack. */
function nest(source: Source): string {
  const depth = pick(source.random, [40, 2_000, 200_000]);
  const [open, close] = pick(source.random, [
    ["[", "]"],
    ['{"a":', "}"],
    ["- ", ""],
    ["(", ")"],
    ["{{", "}}"],
    ["{% if a %}", "{% endif %}"],
  ] as const);
  return open.repeat(depth) + close.repeat(depth);
}

export function fragment(source: Source): string {
  const { random, escapes } = source;
  switch (random.below(12)) {
    case 0:
      return JSON.stringify(pick(random, escapes));
    case 1:
      return JSON.stringify("x".repeat(pick(random, [300, 100_000])));
    case 2:
      return nest(source);
    default:
      return pick(random, fragments);
  }
}

const tokens = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|"(?:[^"\\]|\\.)*"|\b\w+\b/g;

type Edit = (text: string, source: Source) => string;

/** Another value in place of a number, a string or a word. */
const replaceToken: Edit = (text, source) => {
  const found = [...text.matchAll(tokens)];
  if (found.length === 0) return fragment(source);
  const { index, 0: token } = pick(source.random, found);
  return text.slice(0, index) + fragment(source) + text.slice(index + token.length);
};

const withLines =
  (edit: (lines: string[], source: Source) => void): Edit =>
  (text, source) => {
    const lines = text.split("\n");
    edit(lines, source);
    return lines.join("\n");
  };

const edits: readonly Edit[] = [
  replaceToken,
  replaceToken,
  withLines((lines, { random }) => lines.splice(random.below(lines.length), 1)),
  withLines((lines, { random }) => lines.splice(random.below(lines.length), 0, lines[random.below(lines.length)] ?? "")),
  withLines((lines, { random, other }) => {
    const foreign = new TextDecoder().decode(other()).split("\n");
    lines.splice(random.below(lines.length), 1, foreign[random.below(foreign.length)] ?? "");
  }),
  withLines((lines, source) => {
    const at = source.random.below(lines.length);
    lines[at] = (lines[at] ?? "").replace(/^(\s*)/, pick(source.random, ["", " ", "\t", "        "]));
  }),
  (text, source) => {
    const at = source.random.below(text.length + 1);
    const signs = [
      '"',
      "'",
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      "\\",
      "\0",
      "\r",
      "\u2028",
      "\uFEFF",
      "&a ",
      "*a ",
      "!!js/function ",
      "<<: *a\n",
      "{%",
      "%}",
      "{{",
      "}}",
    ];
    return text.slice(0, at) + pick(source.random, [...signs, fragment(source)]) + text.slice(at);
  },
  (text, { random }) => {
    const at = random.below(text.length + 1);
    return text.slice(0, at) + text.slice(at + 1 + random.below(20));
  },
];

export const damageText: Mutation = (bytes, source) => {
  if (once(source.random, 6)) return damageBytes(bytes, source);
  let text = new TextDecoder().decode(bytes);
  for (let left = 1 + source.random.below(3); left > 0; left--) text = pick(source.random, edits)(text, source);
  return new TextEncoder().encode(text);
};
