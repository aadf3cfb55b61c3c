import type { TrainEvent, TrainOptions } from "../api.js";
import { checkOptions, inCode, trainSet } from "../options.js";
import type { TrainingRequest } from "./training/run.js";
import { WorkerClient } from "./worker/client.js";

/**
 * Trains an adapter in a worker thread and yields what happens. An abort saves a checkpoint and ends the run with a `done`
 * event of reason `interrupted`.
 *
 * @throws InputError where options, data or model are wrong; RunError where the run fails.
 */
export async function* train({ signal, ...options }: TrainOptions & { readonly signal?: AbortSignal }): AsyncGenerator<TrainEvent> {
  yield* runInWorker({ options: checkOptions(trainSet, options, inCode), target: { kind: "held-out" } }, signal);
}

/** Runs a training request in a worker of its own. */
export async function* runInWorker(request: TrainingRequest, signal: AbortSignal | undefined): AsyncGenerator<TrainEvent> {
  const client = new WorkerClient();
  try {
    for await (const event of client.stream("train", request, signal)) yield event as TrainEvent;
  } finally {
    await client.close();
  }
}
