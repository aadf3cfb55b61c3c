import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Seed } from "../input.js";

// The files of the tests, which PyTorch, transformers, PEFT, llama.cpp's converter and pyarrow wrote (tests/golden/README.md).

/** The root of the package, seen from the bundle (`tools/fuzz/scratch`): the process that reads has another working directory. */
export const ROOT = new URL("../../../", import.meta.url).pathname;
/** Where they lie. */
export const GOLDEN = join(ROOT, "tests/golden");

export const bytesOf = (path: string): Uint8Array => new Uint8Array(readFileSync(path));
export const encoded = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Paths of all files of the tests, sorted. */
export function goldenFiles(): string[] {
  const entries = readdirSync(GOLDEN, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort();
}

/** Each file as an input of its own, under one name. */
export const each = (name: string, paths: readonly string[]): Seed[] => paths.map((path) => new Map([[name, bytesOf(path)]]));

/** The files of a folder that a pattern names, as one input. */
export function folderSeed(folder: string, names: RegExp, under = ""): Seed {
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile() && names.test(entry.name));
  return new Map(files.map(({ name }) => [under + name, bytesOf(join(folder, name))]));
}

/** Folders of the tests that hold a file of this name, sorted. */
export const foldersWith = (file: string): string[] =>
  goldenFiles()
    .filter((path) => path.endsWith(`/${file}`))
    .map((path) => path.slice(0, -file.length - 1));
