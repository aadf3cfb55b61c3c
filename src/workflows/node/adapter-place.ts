import { stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import { holdsAdapter } from "../../lora/node/adapter-folder.js";
import { runFolder } from "./run-folder.js";

/**
 * The folder of the adapter that a person means: the folder itself, or the best adapter of the training run that it holds.
 *
 * @throws InputError naming what was looked for.
 */
export async function findAdapter(directory: string): Promise<string> {
  const run = runFolder(directory);
  if (await holdsAdapter(directory)) return directory;
  if (await holdsAdapter(run.adapter)) return run.adapter;
  throw await noAdapter(directory);
}

async function noAdapter(directory: string): Promise<InputError> {
  const wanted = "Give the folder of an adapter (it holds adapter_config.json and adapter_model.safetensors), or that of a training run.";
  const found = await stat(directory).catch(() => undefined);
  if (found === undefined) return new InputError(`${directory} does not exist. ${wanted}`);
  if (!found.isDirectory()) return new InputError(`${directory} is a file. ${wanted}`);
  if (await isFile(runFolder(directory).checkpoint)) {
    return new InputError(`${directory} holds a training run that has not ended, without an adapter yet. Go on with it by --resume first.`);
  }
  if (await isFile(join(directory, "config.json"))) {
    return new InputError(`${directory} is a whole model, not an adapter: give it as the model. ${wanted}`);
  }
  return new InputError(
    `${directory} holds no adapter: there is neither adapter_config.json nor ${join("adapter", "adapter_config.json")} in it. ${wanted}`,
  );
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
