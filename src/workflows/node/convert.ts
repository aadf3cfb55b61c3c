import type { Controls, ConvertOptions, ConvertResult, Progress } from "../api.js";
import { checkOptions, convertSet, inCode } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Writes an adapter of PEFT that changes its base (PiSSA, OLoRA) as a plain LoRA beside the base as it is.
 *
 * @throws InputError where something does not fit, or the folder is not empty. Then, and when it is aborted, nothing is left behind.
 */
export async function convert({ signal, onProgress, ...options }: ConvertOptions & Controls): Promise<ConvertResult> {
  return callOnce("convert", checkOptions(convertSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
