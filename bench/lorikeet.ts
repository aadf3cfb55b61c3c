import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { RunError } from "../src/errors.js";
import type { TrainEvent } from "../src/workflows/api.js";
import type { Surroundings } from "./work.js";

/** Runs `npm run build` once, so that the command is the code as it stands. */
export async function buildCommand({ root, signal }: Surroundings): Promise<void> {
  const child = spawn("npm", ["run", "--silent", "build"], {
    cwd: root,
    signal,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (code !== 0) throw new RunError("npm run build failed; its messages stand above.");
}

/** The events of `lorikeet train`, in a process of its own. Leaving the loop ends it. Throws RunError where it fails. */
export async function* lorikeetTrain({ root, signal }: Surroundings, options: readonly string[]): AsyncGenerator<TrainEvent> {
  const args = [join(root, "dist/cli/main.js"), "train", ...options, "--json"];
  const child = spawn(process.execPath, args, { signal, stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  const ended = new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  ended.catch(() => undefined); // an interruption before the wait below
  try {
    for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line);
    const code = await ended;
    if (code !== 0) throw new RunError(`lorikeet train ended with exit code ${code}.\n${errors}`);
  } finally {
    child.kill("SIGKILL");
    await ended.catch(() => undefined);
  }
}
