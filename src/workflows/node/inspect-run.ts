import { inspectAdapter } from "../../lora/inspection.js";
import { adapterBytes, readAdapterFolder } from "../../lora/node/adapter-folder.js";
import type { InspectResult } from "../api.js";
import { findAdapter } from "./adapter-place.js";

/** The work of `inspect`, in its worker: the singular values of a large adapter take seconds. */
export async function runInspect(given: string): Promise<InspectResult> {
  const directory = await findAdapter(given);
  return { ...inspectAdapter(await readAdapterFolder(directory)), directory, bytes: await adapterBytes(directory) };
}
