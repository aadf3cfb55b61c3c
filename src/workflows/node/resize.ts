import type { Controls, Progress, ResizeOptions, ResizeResult } from "../api.js";
import { checkOptions, inCode, resizeSet } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Writes an adapter with a lower rank, of each layer the strongest directions.
 *
 * @throws InputError where something does not fit, or the folder is not empty. Then, and when it is aborted, nothing is left behind.
 */
export async function resize({ signal, onProgress, ...options }: ResizeOptions & Controls): Promise<ResizeResult> {
  return callOnce("resize", checkOptions(resizeSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
