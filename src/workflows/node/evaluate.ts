import type { Controls, EvaluateOptions, EvaluationResult, Progress } from "../api.js";
import { checkOptions, evalSet, inCode } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Measures a model on a file, without and with an adapter side by side.
 *
 * @throws InputError where options, data, model or adapter are wrong; the reason of the signal when it is aborted.
 */
export async function evaluate({ signal, onProgress, ...options }: EvaluateOptions & Controls): Promise<EvaluationResult> {
  return callOnce("evaluate", checkOptions(evalSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
