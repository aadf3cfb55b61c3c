import type { Controls, ExtractOptions, ExtractResult, Progress } from "../api.js";
import { checkOptions, extractSet, inCode } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Writes the difference of two models as an adapter, one layer after the other.
 *
 * @throws InputError where something does not fit, or the folder is not empty. Then, and when it is aborted, nothing is left behind.
 */
export async function extract({ signal, onProgress, ...options }: ExtractOptions & Controls): Promise<ExtractResult> {
  return callOnce("extract", checkOptions(extractSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
