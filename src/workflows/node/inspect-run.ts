import { stat } from "node:fs/promises";
import { isGgufFile } from "../../interchange/gguf/node/adapter-file.js";
import { inspectAdapter } from "../../lora/inspection.js";
import { adapterBytes } from "../../lora/node/adapter-folder.js";
import type { InspectResult, Progress } from "../api.js";
import { findAdapter, readPlacedAdapter } from "./adapter-place.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** The work of `inspect`, in its worker: the singular values of a large adapter take seconds. */
export async function runInspect(given: string, { signal, emit }: WorkerContext): Promise<InspectResult> {
  const directory = await findAdapter(given);
  const adapter = await readPlacedAdapter(directory);
  const inspection = await inspectAdapter(adapter, async (done) => {
    emit({ task: "measuring layers", done, total: adapter.layers.length, unit: "items" } satisfies Progress);
    await breathe();
    signal.throwIfAborted();
  });
  const bytes = isGgufFile(directory) ? (await stat(directory)).size : await adapterBytes(directory);
  return { ...inspection, directory, bytes };
}
