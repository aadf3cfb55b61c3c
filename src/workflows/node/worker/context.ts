/** What a method of the worker is handed beside its parameters. */
export interface WorkerContext {
  readonly signal: AbortSignal;
  readonly emit: (event: unknown) => void;
}

/** Lets the messages that have arrived be read; the engine blocks the thread while it runs. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
