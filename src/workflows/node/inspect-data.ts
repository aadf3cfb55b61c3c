import type { Controls, DataOptions, DataReport, Progress } from "../api.js";
import { checkOptions, dataSet, inCode } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Says how a file of examples is understood: format, mask, lengths, and what would be left out. Trains nothing.
 *
 * @throws InputError for a malformed file (the rows are named), or where model and rows do not fit.
 */
export async function inspectData({ signal, onProgress, ...options }: DataOptions & Controls): Promise<DataReport> {
  return callOnce("inspectData", checkOptions(dataSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
