import { readFileSync, statSync } from "node:fs";
import { LineCounter, parseDocument } from "yaml";
import { InputError } from "../../errors.js";

/** A file of options is small; anything larger is some other file. */
const mostBytes = 1 << 20;

/**
 * Reads a .yaml file of options.
 * @throws InputError with the line where the file is no YAML, or no mapping of names to values.
 */
export function readOptionsFile(path: string): Record<string, unknown> {
  const lines = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: lines });
  const problem = document.errors[0];
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0]);
    throw new InputError(`${path}:${line}:${col}: expected YAML; ${problem.message.split("\n")[0]}`);
  }
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new InputError(
      `${path}: expected options, one a line, such as "batchSize: 8"; found ${Array.isArray(value) ? "a list" : `a ${typeof value}`}`,
    );
  }
  return { ...value };
}

function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > mostBytes) throw new InputError(`${path}: expected a small file of options; found ${size} bytes`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: the file of options cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
