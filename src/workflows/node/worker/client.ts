import { Worker } from "node:worker_threads";
import { InputError, RunError } from "../../../errors.js";
import { type Request, type Response, reviveFailure } from "./protocol.js";

/** One call that is under way. */
interface Call {
  readonly onEvent: (event: unknown) => void;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A worker thread with an engine of its own: the thread of the caller stays free while it computes. */
export class WorkerClient {
  // The flags of the caller's own process are not the worker's: some, such as --input-type, it refuses.
  readonly #worker = new Worker(new URL("./main.js", import.meta.url), { execArgv: [] });
  readonly #calls = new Map<number, Call>();
  #ids = 0;
  /** Why the worker takes no more calls; undefined while it lives. */
  #ending: unknown;

  constructor() {
    this.#worker.on("message", (response: Response) => this.#receive(response));
    this.#worker.on("error", (error) => this.#end(explained(error)));
    this.#worker.on("exit", (code) => this.#end(new RunError(`The worker that runs the model ended (code ${code}). Is the memory full?`)));
    this.#worker.unref();
  }

  /** Runs a method of the worker. An abort asks it to stop; it ends by itself, with a result or the signal's reason. */
  async call(method: string, params: unknown, onEvent: (event: unknown) => void, signal?: AbortSignal): Promise<unknown> {
    if (this.#ending !== undefined) throw this.#ending;
    const id = this.#ids++;
    this.#send({ type: "call", id, method, params });
    const promise = new Promise<unknown>((resolve, reject) => {
      this.#calls.set(id, { onEvent, resolve, reject });
    });
    this.#worker.ref();
    const abort = () => this.#send({ type: "abort", id });
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
    return promise
      .catch((error: unknown) => {
        if (error === ABORTED && signal !== undefined) throw signal.reason;
        throw error;
      })
      .finally(() => {
        signal?.removeEventListener("abort", abort);
        this.#calls.delete(id);
        if (this.#calls.size === 0) this.#worker.unref();
      });
  }

  /** Runs a method and yields its events as they come; returns its result. Leaving the loop early aborts the work. */
  async *stream(method: string, params: unknown, signal?: AbortSignal): AsyncGenerator<unknown, unknown> {
    const events: unknown[] = [];
    let wake = () => {};
    const stop = new AbortController();
    const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    let ended = false;
    const result = this.call(
      method,
      params,
      (event) => {
        events.push(event);
        wake();
      },
      either,
    ).finally(() => {
      ended = true;
      wake();
    });
    result.catch(() => undefined); // Told by `await result` below, or of no interest to a caller that left.
    try {
      while (!ended || events.length > 0) {
        while (events.length > 0) yield events.shift();
        if (!ended) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
      return await result;
    } finally {
      if (!ended) {
        stop.abort();
        await result.catch(() => undefined);
      }
    }
  }

  async close(): Promise<void> {
    this.#end(new InputError("The model was disposed of while it worked, or before. Load it again to go on."));
    await this.#worker.terminate();
  }

  #send(request: Request): void {
    this.#worker.postMessage(request);
  }

  #receive(response: Response): void {
    const call = this.#calls.get(response.id);
    if (call === undefined) return;
    if (response.type === "event") call.onEvent(response.event);
    else if (response.type === "result") call.resolve(response.result);
    else call.reject(response.failure.kind === "abort" ? ABORTED : reviveFailure(response.failure));
  }

  /** The first reason holds: what follows it is only its consequence. */
  #end(error: unknown): void {
    this.#ending ??= error;
    for (const call of this.#calls.values()) call.reject(this.#ending);
  }
}

/** What a person can do about an error that ended the worker. */
function explained(error: unknown): unknown {
  if (error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") {
    return new RunError("The worker that runs the model ran out of memory. Close other programs, or take a smaller batch.", {
      cause: error,
    });
  }
  return error;
}

/** Stands for the reason of the signal, which need not be clonable. */
const ABORTED = Symbol("aborted");

/** One call in a worker of its own, which ends with it. */
export async function callOnce<Result>(
  method: string,
  params: unknown,
  controls: { onEvent?: (event: unknown) => void; signal?: AbortSignal | undefined },
): Promise<Result> {
  const client = new WorkerClient();
  try {
    // The worker's methods are typed by `WorkerMethods`; the thread's border carries no types.
    return (await client.call(method, params, controls.onEvent ?? (() => {}), controls.signal)) as Result;
  } finally {
    await client.close();
  }
}
