import type { Controls, ExportOptions, ExportResult, Progress } from "../api.js";
import { checkOptions, exportSet, inCode } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Writes an adapter for other tools: as GGUF, which llama.cpp applies to the GGUF of its model, with a Modelfile for Ollama.
 *
 * @throws InputError where the adapter does not fit the model, cannot be expressed there, or something is in the way of the file. Then,
 *   and when it is aborted, nothing is left behind.
 */
export async function exportAdapter({ signal, onProgress, ...options }: ExportOptions & Controls): Promise<ExportResult> {
  return callOnce("exportAdapter", checkOptions(exportSet, options, inCode), {
    onEvent: (event) => onProgress?.(event as Progress),
    signal,
  });
}
