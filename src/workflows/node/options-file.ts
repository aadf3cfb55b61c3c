import { readFileSync, statSync } from "node:fs";
import { LineCounter, type Document as Parsed, parseDocument } from "yaml";
import { InputError, reasonOf } from "../../errors.js";

/** A file of options is small; anything larger is some other file. */
const mostBytes = 1 << 20;
/** How often the parts that names stand for may be repeated in all. */
const MAX_ALIASES = 100;

/**
 * Reads a .yaml file of options.
 * @throws InputError with the line where the file is no YAML, or no mapping of names to values.
 */
export function readOptionsFile(path: string): Record<string, unknown> {
  const lines = new LineCounter();
  const document = parsed(readText(path), lines, path);
  const problem = document.errors[0];
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0]);
    const words = /call stack/.test(problem.message) ? "it is nested too deeply" : problem.message.split("\n")[0];
    throw new InputError(`${path}:${line}:${col}: expected YAML; ${words}`);
  }
  const value = plainValue(document, path);
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new InputError(
      `${path}: expected options, one a line, such as "batchSize: 8"; found ${Array.isArray(value) ? "a list" : `a ${typeof value}`}`,
    );
  }
  return { ...value };
}

/** The parser calls itself for each level. */
function parsed(text: string, lineCounter: LineCounter, path: string): Parsed {
  try {
    return parseDocument(text, { lineCounter });
  } catch (cause) {
    throw new InputError(`${path}: expected YAML; ${reasonOf(cause, "it is nested too deeply")}`, { cause });
  }
}

/** Names that stand for other parts (`*name`) may stand for more than memory holds, or for what holds them. */
function plainValue(parsed: Parsed, path: string): unknown {
  try {
    return parsed.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    throw new InputError(
      `${path}: expected plain options; ${reasonOf(cause, "it is nested too deeply, or names stand for more than they may")}`,
      { cause },
    );
  }
}

function readText(path: string): string {
  try {
    const found = statSync(path);
    if (!found.isFile())
      throw new InputError(`${path}: expected a file of options; found a ${found.isDirectory() ? "folder" : "device or pipe"}`);
    const { size } = found;
    if (size > mostBytes) throw new InputError(`${path}: expected a small file of options; found ${size} bytes`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: the file of options cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
