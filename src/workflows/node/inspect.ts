import type { Controls, InspectOptions, InspectResult, Progress } from "../api.js";
import { checkOptions, inCode, inspectSet } from "../options.js";
import { callOnce } from "./worker/client.js";

/**
 * Measures an adapter: rank, scale, and per layer how far and in how many directions it moved; beside another adapter and beside the
 * model's weights where these are given.
 *
 * @param directory the adapter's folder, or that of a training run
 * @throws InputError where there is no adapter, or an unsupported or damaged one.
 */
export async function inspect(
  directory: string,
  { signal, onProgress, ...options }: Omit<InspectOptions, "directory"> & Controls = {},
): Promise<InspectResult> {
  return callOnce("inspect", checkOptions(inspectSet, { directory, ...options }, inCode), {
    onEvent: (event) => onProgress?.(event as Progress),
    signal,
  });
}
