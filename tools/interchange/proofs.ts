import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

// What a test proves of a form of files stands as a comment above it, and the table in docs/interchange.md is made of these:
//
//   // Proves gguf-adapter out: llama.cpp's logits with it, for every decoder
//   test("is the file that llama.cpp was given, and gives its logits", …)
//
// A check in Python says it in its head, with a #. Such a check proves something where CI runs it.

export interface Proof {
  readonly format: string;
  readonly way: "in" | "out";
  readonly claim: string;
  /** From the root of the repository. */
  readonly file: string;
}

export interface ReadProofs {
  readonly proofs: readonly Proof[];
  /** What is said to be proven by a test that does not run. */
  readonly faults: readonly string[];
}

const MARK = /^[ \t]*(?:\/\/|#) Proves\b(.*)$/gm;
const CONTENT = /^ ([a-z0-9-]+) (in|out): (\S.*)$/;
const CI = ".ci/run";

/** The proofs in all tests and Python checks. */
export function readProofs(): ReadProofs {
  const ci = readFileSync(CI, "utf8");
  const files = readdirSync("tests", { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts") || /^golden\/check_\w+\.py$/.test(path))
    .map((path) => join("tests", path))
    .sort();
  const read = files.map((file) => proofsOf(file, readFileSync(file, "utf8"), ci));
  return { proofs: read.flatMap(({ proofs }) => proofs), faults: read.flatMap(({ faults }) => faults) };
}

/** The proofs of one file, given what CI runs. */
export function proofsOf(file: string, text: string, ci: string): ReadProofs {
  const proofs: Proof[] = [];
  const faults: string[] = [];
  const running = file.endsWith(".py") ? () => isRunByCi(file, ci) : testsOf(text);
  for (const { 0: line, 1: content = "", index } of text.matchAll(MARK)) {
    const [, format, way, claim] = CONTENT.exec(content) ?? [];
    if (format === undefined || claim === undefined)
      faults.push(`${file}: \`${line.trim()}\` is not of the form \`Proves FORMAT in|out: claim\``);
    else if (!running(index)) faults.push(`${file}: no test that always runs follows \`${line.trim()}\``);
    else proofs.push({ format, way: way === "in" ? "in" : "out", claim, file });
  }
  return { proofs, faults };
}

/** Whether a line of .ci/run that is no comment names a check. */
function isRunByCi(file: string, ci: string): boolean {
  return ci.split("\n").some((line) => !line.trimStart().startsWith("#") && line.includes(file));
}

/** Which comments of a source, by the offset of their line, stand above a test that runs, or above a group that holds one. */
function testsOf(text: string): (offset: number) => boolean {
  const source = ts.createSourceFile("source.ts", text, ts.ScriptTarget.Latest, true);
  const commented: [start: number, end: number][] = [];
  visit(source);
  return (offset) => commented.some(([start, end]) => start <= offset && offset < end);

  function visit(node: ts.Node): void {
    if (ts.isExpressionStatement(node)) {
      const kind = kindOf(node.expression);
      if (kind === "skipped") return;
      if (kind !== undefined && (kind === "test" || holdsTest(node))) commented.push([node.getFullStart(), node.getStart()]);
    }
    ts.forEachChild(node, visit);
  }
}

/** Whether a group has a test in it that is not skipped. */
function holdsTest(group: ts.Node): boolean {
  let found = false;
  ts.forEachChild(group, function visit(node): void {
    const kind = ts.isExpressionStatement(node) ? kindOf(node.expression) : undefined;
    if (kind === "test") found = true;
    else if (kind !== "skipped") ts.forEachChild(node, visit);
  });
  return found;
}

/** What a call is for vitest: `test.each(rows)("…", …)` is a test, `describe.skip("…", …)` is skipped, and so is what runs on some machines alone. */
function kindOf(expression: ts.Expression): "test" | "group" | "skipped" | undefined {
  if (!ts.isCallExpression(expression)) return undefined;
  const modifiers: string[] = [];
  let callee: ts.Expression = expression;
  while (ts.isCallExpression(callee) || ts.isPropertyAccessExpression(callee)) {
    if (ts.isPropertyAccessExpression(callee)) modifiers.push(callee.name.text);
    callee = callee.expression;
  }
  if (!ts.isIdentifier(callee) || !["test", "it", "describe"].includes(callee.text)) return undefined;
  if (modifiers.some((modifier) => modifier !== "each" && modifier !== "for")) return "skipped";
  return callee.text === "describe" ? "group" : "test";
}
