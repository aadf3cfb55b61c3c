import { InputError, RunError } from "../../../errors.js";

// The words between the thread of the caller and the worker in which the engine runs. Plain clonable records.

/** From the caller: start a piece of work, or ask it to stop. */
export type Request =
  | { readonly type: "call"; readonly id: number; readonly method: string; readonly params: unknown }
  | { readonly type: "abort"; readonly id: number };

/** From the worker: what happens on the way, and how it ended. */
export type Response =
  | { readonly type: "event"; readonly id: number; readonly event: unknown }
  | { readonly type: "result"; readonly id: number; readonly result: unknown }
  | { readonly type: "failure"; readonly id: number; readonly failure: Failure };

export interface Failure {
  readonly kind: "input" | "run" | "abort" | "other";
  readonly message: string;
  readonly stack: string | undefined;
  /** The system's words for a failed call (`ENOSPC`, `write`), where it was one. */
  readonly system: { readonly code: string; readonly syscall: string } | undefined;
  readonly cause: string | undefined;
}

export function describeFailure(error: unknown, aborted: boolean): Failure {
  const known = error instanceof Error ? error : new Error(String(error));
  const { message, stack } = known;
  const cause = known.cause instanceof Error ? known.cause.message : undefined;
  const kind = error instanceof InputError ? "input" : error instanceof RunError ? "run" : aborted ? "abort" : "other";
  return { kind, message, stack, system: systemWords(known), cause };
}

function systemWords(error: Error): Failure["system"] {
  if (!("code" in error && "syscall" in error)) return undefined;
  return { code: String(error.code), syscall: String(error.syscall) };
}

/** The error again, of its own class. An abort is the signal's own reason, which the caller holds. */
export function reviveFailure({ kind, message, stack, system, cause }: Failure): Error {
  const options = cause === undefined ? {} : { cause: new Error(cause) };
  const error =
    kind === "input" ? new InputError(message, options) : kind === "run" ? new RunError(message, options) : new Error(message, options);
  if (stack !== undefined) error.stack = stack;
  return Object.assign(error, system);
}
