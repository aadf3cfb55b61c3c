import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { RunError } from "../src/errors.js";

export interface ChildOptions {
  readonly signal: AbortSignal;
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end and returns its last line, which is JSON. Throws RunError with what it wrote when it fails. */
export async function runForJson(command: string, args: readonly string[], { signal, env = {} }: ChildOptions): Promise<unknown> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { signal, env: { ...process.env, ...env }, maxBuffer: 2 ** 26 });
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new RunError(`${command} ${args.join(" ")} failed.\n${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
