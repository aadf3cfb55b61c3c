import type { Io } from "./io.js";

/** Ctrl-C, shared out: the running command is asked to stop first, and the process ends at the second. */
export interface Interrupts {
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  /** Asks the command to stop, as a first Ctrl-C does. */
  stop(reason: string): void;
  /**
   * Hands every Ctrl-C to `handler` until the returned function is called; a chat stops its answer instead of the program. A request to
   * end (SIGTERM) still means the program.
   */
  takeOver(handler: () => void): () => void;
  close(): void;
}

/** Listens for Ctrl-C; `announce` tells the person what the first one does. */
export function listenForInterrupts(io: Io, announce: (text: string) => void): Interrupts {
  const controller = new AbortController();
  const handlers: (() => void)[] = [];
  const stop = (reason: string) => controller.abort(new DOMException(reason, "AbortError"));
  const close = io.onInterrupt((signal) => {
    const handler = signal === "SIGTERM" ? undefined : handlers.at(-1);
    if (handler !== undefined) return handler();
    if (controller.signal.aborted) return io.exit(130);
    announce("Stopping after the current step. Ctrl-C again ends at once.");
    stop("interrupted");
  });
  return {
    signal: controller.signal,
    stop,
    takeOver(handler) {
      handlers.push(handler);
      return () => {
        handlers.splice(handlers.indexOf(handler), 1);
      };
    },
    close,
  };
}
