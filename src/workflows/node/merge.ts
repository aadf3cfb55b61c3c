import type { Controls, MergeOptions, MergeResult, Progress } from "../api.js";
import { checkOptions, inCode, mergeSet } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Folds an adapter into its model and writes the result as a folder that transformers loads.
 *
 * @throws InputError where the adapter does not fit or the folder is not empty; RunError where the disk is full. Then, and
 *   when it is aborted, nothing is left behind.
 */
export async function merge({ signal, onProgress, ...options }: MergeOptions & Controls): Promise<MergeResult> {
  return callOnce("merge", checkOptions(mergeSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
