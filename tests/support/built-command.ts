import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Readable } from "node:stream";

// The command as `npm run build` leaves it: what a user of the package starts.

/** Its file, from the root of the package. */
export const MAIN = "dist/cli/main.js";
if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing: npm run build`);

/** Runs the command to its end. */
export function lorikeet(...argv: string[]) {
  return spawnSync(process.execPath, [MAIN, ...argv], { encoding: "utf8" });
}

/** Starts the command and leaves it running. */
export function startLorikeet(...argv: string[]): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [MAIN, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
}

/** The lines of an output with --json; throws at one that is not JSON. */
export function jsonLines(output: string): Record<string, unknown>[] {
  return output
    .trimEnd()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line));
}
