import type { Controls, Progress, UnmergeOptions, UnmergeResult } from "../api.js";
import { checkOptions, inCode, unmergeSet } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Takes an adapter out of a model that it was folded into. Where the merge was told `restorable`, every file of the base comes back byte
 * for byte; else only `approximate` helps.
 *
 * @throws InputError where the adapter is another one, the merged weights have changed since, or what rounding took was not kept. Then, and
 *   when it is aborted, nothing is left behind.
 */
export async function unmerge({ signal, onProgress, ...options }: UnmergeOptions & Controls): Promise<UnmergeResult> {
  return callOnce("unmerge", checkOptions(unmergeSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
