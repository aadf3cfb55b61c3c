import type { CombineOptions, CombineResult, Controls, Progress } from "../api.js";
import { checkOptions, combineSet, inCode } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Makes one adapter of several, by an expression: a weighted sum, exact or reduced to a rank, or another of PEFT's combinations.
 *
 * @throws InputError where something does not fit, or the folder is not empty. Then, and when it is aborted, nothing is left behind.
 */
export async function combine({ signal, onProgress, ...options }: CombineOptions & Controls): Promise<CombineResult> {
  return callOnce("combine", checkOptions(combineSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
