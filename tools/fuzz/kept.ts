import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";
import type { Entry, Input } from "./input.js";

/** The inputs of a reader that an earlier campaign kept in a folder, by their names. */
export function keptInputs(folder: string, reader: string): Map<string, Input> {
  const names = readdirSync(folder).filter((name) => name.startsWith(`${reader}-`));
  // The names of some readers begin with those of others, and what is behind is a number or the place of a whole file.
  const own = names.filter((name) => /^(seed-)?\d+$/.test(name.slice(reader.length + 1)));
  return new Map(own.sort().map((name) => [name.slice(reader.length + 1), inputIn(join(folder, name))]));
}

function inputIn(folder: string): Input {
  const files = new Map<string, Entry>();
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path);
    if (entry.isSymbolicLink()) files.set(name, { link: readlinkSync(path) });
    else if (entry.isFile()) files.set(name, new Uint8Array(readFileSync(path)));
    else if (readdirSync(path).length === 0) files.set(name, "folder");
  }
  return files;
}
