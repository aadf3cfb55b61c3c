import type { Controls, EjectOptions, EjectResult, Progress } from "../api.js";
import { checkOptions, ejectSet, inCode } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Writes a run out as a Python program on TRL and PEFT: the same rows in the same batches, the same start, rates and optimizer.
 *
 * @throws InputError where the run has no equal there, or something is in the way of the folder. Then, and when it is aborted, nothing is
 *   left behind.
 */
export async function eject({ signal, onProgress, ...options }: EjectOptions & Controls): Promise<EjectResult> {
  return callOnce("eject", checkOptions(ejectSet, options, inCode), { onEvent: (event) => onProgress?.(event as Progress), signal });
}
