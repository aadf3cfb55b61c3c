import type { TrainingRequest } from "../training/run.js";
import type { WorkerContext } from "./context.js";

/** A method of the worker: clonable parameters in, a clonable result out, events on the way. */
export type WorkerMethod = (params: unknown, context: WorkerContext) => Promise<unknown>;

/** What a worker can be asked to do. A method's code is loaded when it is called. */
export const methods: Readonly<Record<string, WorkerMethod>> = {
  train: async (params, context) => (await import("../training/run.js")).runTraining(params as TrainingRequest, context),
};
