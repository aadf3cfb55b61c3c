/**
 * A failure that a person can mend: bad input or wrong options. The message says where, what was expected, what was
 * found and what to do; the command line prints it without a stack and exits with 2.
 */
export class InputError extends Error {
  override readonly name = "InputError";
}

/** A run that failed for a reason outside the input (no network, full disk, NaN loss); the command line exits with 1. */
export class RunError extends Error {
  override readonly name = "RunError";
}
