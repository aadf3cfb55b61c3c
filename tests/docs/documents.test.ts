import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { commands, reserved } from "../../src/cli/commands.js";
import { flagName, onCommandLine } from "../../src/workflows/options.js";
import { infoOf } from "../../src/workflows/parse-options.js";

// What the documents say can go stale; what of it can be checked is checked here.

const documents = [
  "README.md",
  "README.zh-CN.md",
  "ARCHITECTURE.md",
  "docs/train-on-your-data.md",
  "docs/library.md",
  "docs/interchange.md",
  "docs/web-gpu.md",
  "docs/precision.md",
  "docs/adding-an-architecture.md",
  "docs/methods.md",
  "docs/classification.md",
  "docs/sentence-embeddings.md",
  "docs/serving-adapters.md",
  "docs/adapters.md",
];
const texts = new Map(documents.map((path) => [path, readFileSync(path, "utf8")]));

/** Blocks of code in a language. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, found, code = ""]) => (found === language ? [code] : []));
}

/** GitHub's name of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s-]/gu, "")
    .trim()
    .replace(/\s/g, "-");
}

describe.each(documents)("%s", (path) => {
  const text = texts.get(path) ?? "";

  test("links lead somewhere", () => {
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link).filter((link) => !/^https?:/.test(link));
    const broken = links.filter((link) => {
      const [file = "", heading] = link.split("#");
      const target = join(dirname(path), file);
      if (!existsSync(target)) return true;
      if (heading === undefined) return false;
      return ![...readFileSync(target, "utf8").matchAll(/^#+ (.*)$/gm)].some(([, title = ""]) => anchor(title) === heading);
    });
    expect(broken).toEqual([]);
  });

  test("the command lines name commands and flags that exist", () => {
    const lines = [...text.matchAll(/(?:npx )?lorikeet ([a-z]+)( [^\n`#]*)?/g)];
    const problems = lines.flatMap(([line, name = "", rest = ""]) => {
      const command = commands.find((each) => each.name === name);
      if (command === undefined) return line.startsWith("npx") ? [`there is no ${line}`] : [];
      const known = Object.keys(command.shape).flatMap((option) => [
        flagName(option),
        onCommandLine(option, infoOf(command.shape, option)),
      ]);
      return (rest.match(/--[a-z][a-z-]*/g) ?? []).filter((flag) => !known.includes(flag)).map((flag) => `${name} has no ${flag}`);
    });
    expect(problems).toEqual([]);
  });

  test("rows are JSON", () => {
    for (const block of blocks(text, "jsonl"))
      for (const line of block.trimEnd().split("\n")) expect(() => JSON.parse(line), line).not.toThrow();
  });

  test("flags in prose belong to some command, to npm, or to node", () => {
    const known = new Set(
      commands.flatMap(({ shape }) => Object.keys(shape).flatMap((name) => [flagName(name), onCommandLine(name, infoOf(shape, name))])),
    );
    const named = [...text.matchAll(/`(--[a-z][a-z-]*)[^`]*`/g)].map(([, flag = ""]) => flag);
    expect(named.filter((flag) => !known.has(flag))).toEqual([]);
  });
});

test("reserved names are still reserved", () => {
  for (const name of ["serve", "studio"]) expect(Object.keys(reserved)).toContain(name);
});

test("every dependency is accounted for, and none that is gone", () => {
  const { dependencies, devDependencies, peerDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  const names = new Set(Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies }));
  const [, section = ""] = (texts.get("ARCHITECTURE.md") ?? "").split("## Dependencies");
  const listed = [...section.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  expect(listed.toSorted()).toEqual([...names].sort());
});

test("the architecture that is shown as an example is what the repository has", () => {
  const text = texts.get("docs/adding-an-architecture.md") ?? "";
  expect(blocks(text, "typescript")).toEqual([readFileSync("src/models/qwen3.ts", "utf8")]);
  const [entry = "", ...others] = blocks(text, "python");
  expect(others).toEqual([]);
  expect(readFileSync("tests/golden/architectures.py", "utf8")).toContain(entry);
});

test("tests that ARCHITECTURE.md names exist", () => {
  const named = [...(texts.get("ARCHITECTURE.md") ?? "").matchAll(/`([a-z0-9/-]+\.test\.ts)`/g)].map(([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(5);
  for (const name of named) expect(existsSync(join("tests", name.replace(/^tests\//, ""))), name).toBe(true);
});

test("the programs in the documents compile against the built package", { timeout: 300_000 }, () => {
  // As files of this folder, which exist in memory alone: there "lorikeet" is the package itself, and Node's types are found.
  const sources = new Map(
    documents.flatMap((path) => {
      return blocks(texts.get(path) ?? "", "ts").map(
        (code, index) => [resolve(`${path.replaceAll(/\W/g, "-")}-${index}.mts`), code] as const,
      );
    }),
  );
  expect(sources.size).toBeGreaterThan(5);
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    noEmit: true,
    types: ["node"],
  };
  const disk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (file) => sources.has(file) || disk.fileExists(file),
    readFile: (file) => sources.get(file) ?? disk.readFile(file),
    getSourceFile: (file, version, ...rest) => {
      const code = sources.get(file);
      return code === undefined ? disk.getSourceFile(file, version, ...rest) : ts.createSourceFile(file, code, version);
    },
  };
  const problems = ts
    .getPreEmitDiagnostics(ts.createProgram([...sources.keys()], options, host))
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`);
  expect(problems).toEqual([]);
});
