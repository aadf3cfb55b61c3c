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
}

export function describeFailure(error: unknown, aborted: boolean): Failure {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  if (error instanceof InputError) return { kind: "input", message, stack };
  if (error instanceof RunError) return { kind: "run", message, stack };
  return { kind: aborted ? "abort" : "other", message, stack };
}

/** The error again, of its own class. An abort is the signal's own reason, which the caller holds. */
export function reviveFailure({ kind, message, stack }: Failure): Error {
  const error = kind === "input" ? new InputError(message) : kind === "run" ? new RunError(message) : new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
