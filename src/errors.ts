/** A message shows what a file holds, and files may hold anything: characters of a line, and lines. */
const MAX_LINE = 2000;
const MAX_LINES = 200;

function bounded(message: string): string {
  if (message.length <= MAX_LINE) return message;
  const lines = message.split("\n").map((line) => (line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)} …` : line));
  return lines.length > MAX_LINES
    ? [...lines.slice(0, MAX_LINES), `… and ${lines.length - MAX_LINES} more lines`].join("\n")
    : lines.join("\n");
}

/**
 * What a library says of a file that it could not read. Where it only stumbles, over a name that is not there or memory that cannot be had,
 * JavaScript's words say nothing of the file, and `stumbled` stands for them.
 */
export function reasonOf(cause: unknown, stumbled: string): string {
  if (cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError) return stumbled;
  return cause instanceof Error ? cause.message : String(cause);
}

/**
 * A failure that a person can mend: bad input or wrong options. The message says where, what was expected, what was
 * found and what to do; the command line prints it without a stack and exits with 2.
 */
export class InputError extends Error {
  override readonly name = "InputError";

  constructor(message: string, options?: ErrorOptions) {
    super(bounded(message), options);
  }
}

/** A run that failed for a reason outside the input (no network, full disk, NaN loss); the command line exits with 1. */
export class RunError extends Error {
  override readonly name = "RunError";

  constructor(message: string, options?: ErrorOptions) {
    super(bounded(message), options);
  }
}
