import { parentPort } from "node:worker_threads";
import { methods } from "./methods.js";
import { describeFailure, type Request, type Response } from "./protocol.js";

// The worker's entry. Calls are answered in the order of their arrival: the engine runs one at a time.

const port = parentPort;
if (port === null) throw new Error("this file runs as a worker");

const controllers = new Map<number, AbortController>();
let last: Promise<void> = Promise.resolve();

port.on("message", (request: Request) => {
  if (request.type === "abort") {
    controllers.get(request.id)?.abort();
    return;
  }
  controllers.set(request.id, new AbortController());
  last = last.then(() => answer(request));
});

async function answer({ id, method, params }: Extract<Request, { type: "call" }>): Promise<void> {
  const send = (response: Response) => port?.postMessage(response);
  const signal = (controllers.get(id) ?? new AbortController()).signal;
  try {
    const run = methods[method];
    if (run === undefined) throw new Error(`the worker has no method "${method}"`);
    const result = await run(params, { signal, emit: (event) => send({ type: "event", id, event }) });
    send({ type: "result", id, result });
  } catch (error) {
    send({ type: "failure", id, failure: describeFailure(error, signal.aborted) });
  } finally {
    controllers.delete(id);
  }
}
