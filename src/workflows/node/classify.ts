import type { ClassifyOptions, ClassifyResult, Controls, Progress, TextToLabel } from "../api.js";
import { checkOptions, classifySet, inCode } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Labels texts with an adapter and its head: `text`, the rows of `data`, or `texts`, each a text or a pair of texts.
 *
 * @throws InputError where options, data, model or adapter are wrong; the reason of the signal when it is aborted.
 */
export async function classify({
  signal,
  onProgress,
  texts,
  ...options
}: ClassifyOptions & { readonly texts?: readonly TextToLabel[] } & Controls): Promise<ClassifyResult> {
  const request = { options: checkOptions(classifySet, options, inCode), texts };
  return callOnce("classify", request, { onEvent: (event) => onProgress?.(event as Progress), signal });
}
