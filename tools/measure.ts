// Prints how large and how tangled the code is. Run from the repository's root, after a build: npm run measure
import { execFileSync } from "node:child_process";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const LONGEST_FILE = 400; // lines
const LONGEST_FUNCTION = 60; // lines

interface Measured {
  readonly path: string;
  readonly lines: number;
  /** Functions over the limit, as `path:line name (lines)`. */
  readonly longFunctions: readonly string[];
}

const files = sourceFiles("src").map(measureFile);
const tests = sourceFiles("tests").map(measureFile);
const { cycles, floorBreaks } = importFaults();
const longFiles = files.filter(({ lines }) => lines > LONGEST_FILE).map(({ path, lines }) => `${path} (${lines})`);
const longFunctions = files.flatMap((file) => file.longFunctions);

console.log("Lines by room");
for (const [room, lines] of linesByRoom()) console.log(`  ${room.padEnd(14)}${String(lines).padStart(6)}`);
console.log(`  ${"src".padEnd(14)}${String(sum(files)).padStart(6)}`);
console.log(`  ${"tests".padEnd(14)}${String(sum(tests)).padStart(6)}`);
console.log(`Cycles of imports: ${cycles}`);
console.log(`Imports from a higher floor: ${floorBreaks}`);
console.log(list(`Files over ${LONGEST_FILE} lines`, longFiles));
console.log(list(`Functions over ${LONGEST_FUNCTION} lines`, longFunctions));
console.log(`Package: ${packageSizes()}`);

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.includes("generated") && !name.includes("node_modules"))
    .map((name) => join(folder, name));
}

function measureFile(path: string): Measured {
  const text = readFileSync(path, "utf8");
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const longFunctions: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
      const first = source.getLineAndCharacterOfPosition(node.getStart()).line;
      const lines = source.getLineAndCharacterOfPosition(node.end).line - first + 1;
      if (lines > LONGEST_FUNCTION) longFunctions.push(`${path}:${first + 1} ${functionName(node)} (${lines})`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { path, lines: text.split("\n").length - 1, longFunctions };
}

function functionName(node: ts.SignatureDeclaration): string {
  const named = node.name ?? (ts.isVariableDeclaration(node.parent) || ts.isPropertyAssignment(node.parent) ? node.parent.name : undefined);
  return named?.getText() ?? "(no name)";
}

function linesByRoom(): Map<string, number> {
  const rooms = new Map<string, number>();
  for (const { path, lines } of files) {
    const [, room = "", file] = path.split(/[\\/]/);
    if (file !== undefined) rooms.set(room, (rooms.get(room) ?? 0) + lines);
  }
  return new Map([...rooms].sort(([a], [b]) => a.localeCompare(b)));
}

/** Broken rules of .dependency-cruiser.cjs: circles, and everything else (floors, platform, engine). */
function importFaults(): { cycles: number; floorBreaks: number } {
  let text: string;
  try {
    text = execute("node_modules/.bin/depcruise", ["src", "--config", ".dependency-cruiser.cjs", "--output-type", "json"]);
  } catch (error) {
    // It exits with the number of broken rules, and prints its findings all the same.
    const stdout = error instanceof Error && "stdout" in error ? String(error.stdout) : "";
    if (stdout === "") throw error;
    text = stdout;
  }
  const { summary }: { summary: { violations: { rule: { name: string } }[] } } = JSON.parse(text);
  const cycles = summary.violations.filter(({ rule }) => rule.name === "no-circular").length;
  return { cycles, floorBreaks: summary.violations.length - cycles };
}

/** Bytes of the tarball, of what it unpacks to, and of the folder that a user's `npm install` makes. */
function packageSizes(): string {
  const [packed]: { size: number; unpackedSize: number; entryCount: number }[] = JSON.parse(
    execute("npm", ["pack", "--dry-run", "--json", "--ignore-scripts", "--loglevel=error"]),
  );
  if (packed === undefined) throw new Error("npm pack reported nothing");
  const [, ...dependencies] = execute("npm", ["ls", "--all", "--omit=dev", "--parseable", "--loglevel=error"]).trim().split("\n");
  const outermost = dependencies.filter((path) => !dependencies.some((other) => path.startsWith(`${other}/`)));
  const installed = outermost.reduce((bytes, path) => bytes + folderBytes(path), packed.unpackedSize);
  return `tarball ${megabytes(packed.size)} (${packed.entryCount} files), unpacked ${megabytes(packed.unpackedSize)}, installed with its dependencies ${megabytes(installed)}`;
}

function folderBytes(path: string): number {
  const status = lstatSync(path);
  if (!status.isDirectory()) return status.size;
  return readdirSync(path).reduce((bytes, name) => bytes + folderBytes(join(path, name)), 0);
}

function execute(command: string, argv: string[]): string {
  return execFileSync(command, argv, { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });
}

function sum(measured: readonly Measured[]): number {
  return measured.reduce((lines, file) => lines + file.lines, 0);
}

function list(title: string, entries: readonly string[]): string {
  return [`${title}: ${entries.length}`, ...entries.map((entry) => `  ${entry}`)].join("\n");
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
