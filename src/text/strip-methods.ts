/** A node of a parsed template: plain objects with a `type`. */
interface Node {
  readonly type?: unknown;
  callee?: Node & { readonly object?: unknown; readonly property?: Node & { readonly value?: unknown }; readonly computed?: unknown };
  args?: unknown[];
}

/** White space as Python's str.isspace counts it. */
const pythonSpace = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** The characters to strip as a class of a regular expression. */
const classOf = (characters: unknown): string =>
  typeof characters === "string" ? Array.from(characters, (one) => `\\u{${one.codePointAt(0)?.toString(16)}}`).join("") : pythonSpace;

function strip(text: unknown, characters: unknown, left: boolean, right: boolean): string {
  const inside = classOf(characters);
  let out = String(text);
  if (inside === "") return out;
  if (left) out = out.replace(new RegExp(`^[${inside}]+`, "u"), "");
  const isStripped = new RegExp(`^[${inside}]$`, "u");
  const all = Array.from(out);
  while (right && all.length > 0 && isStripped.test(all.at(-1) ?? "")) all.pop();
  return right ? all.join("") : out;
}

/** `strip`, `lstrip` and `rstrip` of Python's strings as functions of the string and of the characters, to be handed to a template. */
export const stripFunctions: Readonly<Record<string, (text: unknown, characters?: unknown) => string>> = {
  strip: (text, characters) => strip(text, characters, true, true),
  lstrip: (text, characters) => strip(text, characters, true, false),
  rstrip: (text, characters) => strip(text, characters, false, true),
};

/**
 * Turns `text.lstrip("\n")` in a parsed template into `lstrip(text, "\n")`, in place: `@huggingface/jinja` does not look at the
 * argument and strips all white space, which Qwen 3's template would show.
 */
export function callStripFunctions(node: unknown): void {
  if (typeof node !== "object" || node === null) return;
  const { type, callee } = node as Node;
  const property = callee?.property;
  if (type === "CallExpression" && callee?.type === "MemberExpression" && callee.computed !== true && property?.type === "Identifier") {
    if (Object.hasOwn(stripFunctions, String(property.value))) {
      (node as Node).args = [callee.object, ...((node as Node).args ?? [])];
      (node as Node).callee = property;
    }
  }
  for (const inner of Object.values(node)) callStripFunctions(inner);
}
