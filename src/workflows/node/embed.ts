import type { Controls, EmbedOptions, EmbedResult, Progress } from "../api.js";
import { checkOptions, embedSet, inCode } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Turns texts into vectors, pooled as the model's files say (`modules.json`), or else by the mean.
 *
 * @throws InputError where options, data or model are wrong; the reason of the signal when it is aborted.
 */
export async function embed({ signal, onProgress, ...options }: EmbedOptions & Controls): Promise<EmbedResult> {
  return callOnce("embed", checkOptions(embedSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
