import { readFileSync } from "node:fs";

/** Reads a committed golden of tests/golden as the type that the caller knows it to have. */
export function golden<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(`../golden/${path}`, import.meta.url), "utf8")) as T;
}

/** The path of a file or folder in tests/golden. */
export const goldenPath = (path: string): string => new URL(`../golden/${path}`, import.meta.url).pathname;
