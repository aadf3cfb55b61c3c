import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import type { LanguageModel, LoadedAdapter, LoadModelOptions, Progress } from "../api.js";
import { loadModelSet } from "../options/load-model.js";
import { checkOptions, inCode } from "../options.js";
import { removeMerged } from "./merged-model.js";
import type { HostOptions, LoadedModel } from "./model-host.js";
import { WorkerClient } from "./worker/client.js";

const clients = new WeakMap<LanguageModel, WorkerClient>();

/**
 * Loads a model into a worker thread of its own, downloading it first where needed.
 *
 * @param name an alias (`smollm2-135m`), a Hub id, a folder, or a `.gguf` file
 * @throws InputError where an option is wrong, the name leads nowhere or an adapter does not fit; RunError where no source can be
 *   reached, or the disk is too small for merged weights.
 */
export async function loadModel(name: string, { signal, onProgress, ...options }: LoadModelOptions = {}): Promise<LanguageModel> {
  const checked = checkOptions(loadModelSet, options, inCode);
  const scratch = checked.merged === true ? await mkdtemp(join(tmpdir(), "lorikeet-merged-")) : undefined;
  const client = new WorkerClient();
  const dispose = async () => {
    await client.close();
    if (scratch !== undefined) await removeMerged(scratch);
  };
  const hostOptions: HostOptions = { ...checked, scratch };
  try {
    const request = { name, options: hostOptions };
    const loaded = (await client.call("loadModel", request, (event) => onProgress?.(event as Progress), signal)) as LoadedModel;
    const model: LanguageModel = { name, ...loaded, dispose };
    clients.set(model, client);
    return model;
  } catch (error) {
    await dispose();
    throw error;
  }
}

/**
 * Loads one more adapter beside a model. Nothing is compiled for it where it sits at layers that an adapter sat at before.
 *
 * @param directory a folder that PEFT or Lorikeet wrote, or the folder of a training run
 * @param options.name what requests call it; by default the end of its path
 * @throws InputError where it does not fit the model, with every mismatch, or where another has its name.
 */
export async function loadAdapter(model: LanguageModel, directory: string, { name }: { name?: string } = {}): Promise<LoadedAdapter> {
  return (await clientOf(model).call("loadAdapter", { directory, name }, () => {})) as LoadedAdapter;
}

/**
 * Takes an adapter away from a model. Requests that were made before are answered with it. To swap one for another, or for what its folder
 * holds since, unload it and load the other.
 *
 * @param adapter a loaded adapter, or its name
 * @throws InputError where it is not loaded.
 */
export async function unloadAdapter(model: LanguageModel, adapter: LoadedAdapter | string): Promise<void> {
  await clientOf(model).call("unloadAdapter", typeof adapter === "string" ? adapter : adapter.directory, () => {});
}

/** The worker of a loaded model. */
export function clientOf(model: LanguageModel): WorkerClient {
  const client = clients.get(model);
  if (client === undefined)
    throw new InputError("This model was not loaded with loadModel, or it was copied. Use the very object that loadModel gave.");
  return client;
}
