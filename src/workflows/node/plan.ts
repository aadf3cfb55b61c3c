import type { Controls, PlanOptions, PlanResult, Progress } from "../api.js";
import { checkOptions, inCode, planSet } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Says what a training run with these options would train, need and take. Trains and writes nothing; downloads the model
 * where it is not in the cache, as its sizes are in its files.
 *
 * @throws InputError where options, data or model are wrong.
 */
export async function plan({ signal, onProgress, ...options }: PlanOptions & Controls): Promise<PlanResult> {
  return callOnce("plan", checkOptions(planSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
