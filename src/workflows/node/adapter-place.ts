import { readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { InputError } from "../../errors.js";
import { resolveAdapter } from "../../hub/node/resolve-adapter.js";
import type { BaseModel } from "../../interchange/gguf/base-model.js";
import { isGgufFile, readGgufAdapterFile } from "../../interchange/gguf/node/adapter-file.js";
import { isMlxFolder, MLX_WEIGHTS, readMlxFolder } from "../../interchange/mlx/node/adapter-folder.js";
import type { Adapter, TaskType } from "../../lora/adapter.js";
import { fromBareModel } from "../../lora/bare-model.js";
import { checkFit } from "../../lora/fit.js";
import { adapterBytes, holdsAdapter, readAdapterFolder } from "../../lora/node/adapter-folder.js";
import { runnableLayers } from "../../lora/tables.js";
import type { ModelGraph } from "../../models/architecture.js";
import { exists } from "../../weights/node/exists.js";
import { fromTheHub } from "./from-the-hub.js";
import { type DescribedModel, type OpenOptions, resolveOptions } from "./open-model.js";
import { runFolder } from "./run-folder.js";

/** What a download tells how far it is, and what asks it to stop. */
export interface DownloadContext {
  readonly signal?: AbortSignal | undefined;
  readonly emit?: OpenOptions["onProgress"];
}

/** An adapter out of its folder. */
export interface PlacedAdapter {
  /** Absolute; of a GGUF adapter the path of its file. */
  readonly folder: string;
  readonly adapter: Adapter;
}

/**
 * Reads the adapter that a person means and checks it against a model, of which the description is enough.
 *
 * @throws InputError where there is none, or where it does not fit, with every mismatch.
 */
export async function readFittingAdapter(
  directory: string,
  { name, model }: DescribedModel,
  context: DownloadContext = {},
): Promise<PlacedAdapter> {
  const folder = resolve(await findAdapter(directory, context));
  const adapter = await readPlacedAdapter(folder, model);
  if (adapter.config.taskType === "FEATURE_EXTRACTION")
    throw new InputError(`${directory} turns texts into vectors and writes none. Ask it with \`lorikeet embed --adapter ${directory}\`.`);
  checkFit(adapter, runnableLayers(model, adapter.config.method), name, { model });
  return { folder, adapter };
}

/**
 * Reads an adapter where `findAdapter` found it, one that was trained beside a bare model by the names of the model. A GGUF adapter needs
 * its model to be of use there; see `readGgufAdapter`.
 */
export async function readPlacedAdapter(
  place: string,
  model?: BaseModel & Pick<ModelGraph, "weights" | "checkpointForm">,
): Promise<Adapter> {
  if (isGgufFile(place)) return readGgufAdapterFile(place, model);
  if (await isMlxFolder(place)) return readMlxFolder(place);
  const adapter = await readAdapterFolder(place);
  return model !== undefined && adapter.config.taskType === "FEATURE_EXTRACTION" ? fromBareModel(adapter, model) : adapter;
}

/**
 * The adapter that a person means: the folder itself, the best adapter of the training run that it holds, a GGUF file, or where there is
 * neither, an adapter on the Hub, which is downloaded.
 *
 * @param context told how far a download is, and asked to stop
 * @throws InputError naming what was looked for.
 */
export async function findAdapter(directory: string, { signal, emit }: DownloadContext = {}): Promise<string> {
  const run = runFolder(directory);
  if (isGgufFile(directory) && (await isFile(directory))) return directory;
  if (await holdsAdapter(directory)) return directory;
  if (await holdsAdapter(run.adapter)) return run.adapter;
  if (!(await exists(directory))) {
    const folder = isGgufFile(directory)
      ? undefined
      : await fromTheHub(directory, "an adapter", (name) => resolveAdapter(name, resolveOptions({ signal, onProgress: emit })));
    if (folder !== undefined) return folder;
  }
  throw await noAdapter(directory);
}

/** What an adapter was trained for, where `findAdapter` found it; those of other tools answer. */
export async function placedTaskType(place: string): Promise<TaskType> {
  if (isGgufFile(place) || (await isMlxFolder(place))) return "CAUSAL_LM";
  return (await readAdapterFolder(place)).config.taskType;
}

/** Bytes of the file of weights of an adapter where `findAdapter` found it. */
export async function placedBytes(place: string): Promise<number> {
  if (isGgufFile(place)) return (await stat(place)).size;
  return (await isMlxFolder(place)) ? (await stat(join(place, MLX_WEIGHTS))).size : adapterBytes(place);
}

async function noAdapter(directory: string): Promise<InputError> {
  const wanted =
    "Give the folder of an adapter (it holds adapter_config.json and adapter_model.safetensors), that of a training run, a .gguf file of an adapter, or the name of one on the Hub (org/name).";
  const found = await stat(directory).catch(() => undefined);
  if (found === undefined) return new InputError(`${directory} does not exist. ${wanted}`);
  if (!found.isDirectory()) return new InputError(`${directory} is a file. ${wanted}`);
  const { model, checkpoint } = runFolder(directory);
  if (await isFile(join(model, "config.json"))) {
    return new InputError(
      `${directory} holds a run that has trained a whole model, not an adapter: give it as the model, --model ${model}.`,
    );
  }
  if (await isFile(checkpoint)) {
    return new InputError(`${directory} holds a training run that has not ended, without an adapter yet. Go on with it by --resume first.`);
  }
  if (await isFile(join(directory, "config.json"))) {
    return new InputError(`${directory} is a whole model, not an adapter: give it as the model. ${wanted}`);
  }
  const named = await adaptersInside(directory);
  if (named.length > 0) return new InputError(`${directory} holds adapters of several names: give one of ${named.join(", ")}.`);
  return new InputError(
    `${directory} holds no adapter: there is neither adapter_config.json nor ${join("adapter", "adapter_config.json")} in it. ${wanted}`,
  );
}

/** Folders of adapters in a folder, as PEFT saves those that have names. */
async function adaptersInside(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of (await readdir(directory)).sort()) {
    if (await holdsAdapter(join(directory, name))) found.push(join(directory, name));
  }
  return found;
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
