import { resolveModel } from "../../hub/node/resolve-model.js";
import type { Controls, PullResult } from "../api.js";
import { resolveOptions } from "./open-model.js";

/**
 * Downloads a model into the cache, or its newest files where it is there already.
 *
 * @returns where it lies: a folder, or a GGUF file
 * @throws InputError for a name that leads nowhere, RunError where no source can be reached and nothing is cached.
 */
export async function pull(model: string, controls: Controls = {}): Promise<PullResult> {
  const notes: string[] = [];
  const options = resolveOptions({ ...controls, onNotice: (note) => notes.push(note) });
  return { ...(await resolveModel(model, { ...options, refresh: true })), notes };
}
