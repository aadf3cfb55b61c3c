import type { Controls, InspectResult, Progress } from "../api.js";
import { callOnce } from "./worker/client.js";

/**
 * Measures an adapter: rank, scale, and per layer how far and in how many directions it moved.
 *
 * @param directory the adapter's folder, or that of a training run
 * @throws InputError where there is no adapter, or an unsupported or damaged one.
 */
export async function inspect(directory: string, { signal, onProgress }: Controls = {}): Promise<InspectResult> {
  return callOnce("inspect", directory, { onEvent: (event) => onProgress?.(event as Progress), signal });
}
