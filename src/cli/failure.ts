import { CommanderError } from "commander";
import { InputError, RunError } from "../errors.js";
import type { Io } from "./io.js";

/** Exit codes, a contract that scripts depend on. */
export const exitCodes = { done: 0, failed: 1, wrongInput: 2, interrupted: 130 } as const;

/** Prints what went wrong, for a person and without a stack, and returns the exit code. */
export function reportFailure(error: unknown, io: Io, interrupted: boolean): number {
  // Commander has printed its own message; help and version arrive here too.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.wrongInput;
  const debug = (io.env.LORIKEET_DEBUG ?? "") !== "";
  if (interrupted && error instanceof Error && error.name === "AbortError") {
    io.stderr.write("Interrupted.\n");
    return exitCodes.interrupted;
  }
  io.stderr.write(`error: ${explain(error)}\n`);
  if (debug) io.stderr.write(`${stackOf(error)}\n`);
  else if (!isExpected(error)) io.stderr.write("This is a fault in Lorikeet. LORIKEET_DEBUG=1 shows where it happened.\n");
  return error instanceof InputError ? exitCodes.wrongInput : exitCodes.failed;
}

/** The message of a failure, with its cause where that adds something. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  return cause === undefined || error.message.includes(cause) ? error.message : `${error.message}\n  cause: ${cause}`;
}

/** Whether the failure has a reason outside the program: input, the run, or the operating system (which gives a code such as ENOSPC). */
function isExpected(error: unknown): boolean {
  if (error instanceof InputError || error instanceof RunError) return true;
  return error instanceof Error && "syscall" in error && "code" in error;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? error.message;
  return error.cause === undefined ? own : `${own}\ncaused by ${stackOf(error.cause)}`;
}
