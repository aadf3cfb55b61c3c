import { mkdir, readFile, rename, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { readRequiredText } from "../../files/node/read-text-file.js";
import { explainWriteFailure, removeStaleTemporaries, writeFileAtomic } from "../../weights/node/atomic-file.js";
import { exists } from "../../weights/node/exists.js";
import { FileByteSource } from "../../weights/node/file-byte-source.js";
import { openSafetensorsFile } from "../../weights/node/open-checkpoint.js";
import { openTorchFile } from "../../weights/node/open-torch-file.js";
import { writeSafetensors } from "../../weights/node/write-safetensors.js";
import { readSafetensorsHeader } from "../../weights/safetensors.js";
import type { Adapter, AdapterConfig } from "../adapter.js";
import { readLabelling, writeLabelling } from "../labelling.js";
import { modelCard } from "../model-card.js";
import { readPeftConfig, writePeftConfig } from "../peft-config.js";
import { peftTensors, readPeftTensors } from "../peft-tensors.js";

// An adapter's folder as PEFT 0.21 reads and writes it: adapter_config.json, adapter_model.safetensors, README.md.

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
/** What PEFT wrote before it took to safetensors. */
const OLD_WEIGHTS = "adapter_model.bin";
const CARD = "README.md";
/** Holds a new adapter, whole, while its files move to their places: what is in it counts. */
const NEXT = ".adapter-next";
/** Holds a new adapter while it is written: what is in it does not count. */
const UNFINISHED = ".adapter-unfinished";

/** Whether there is an adapter in a folder; whether it can be read is another question. */
export async function holdsAdapter(folder: string): Promise<boolean> {
  return (await placeOf(folder, CONFIG)) !== undefined;
}

/** Bytes of the weights file of an adapter that PEFT or this library saved. */
export async function adapterBytes(folder: string): Promise<number> {
  const old = join(folder, OLD_WEIGHTS);
  const path = (await placeOf(folder, WEIGHTS)) ?? ((await exists(old)) ? old : undefined);
  if (path === undefined) throw withoutWeights(folder);
  return (await stat(path)).size;
}

/** The files that make an adapter, as PEFT and the Hub take it. */
export async function adapterFiles(folder: string): Promise<{ readonly name: string; readonly path: string }[]> {
  const files: { name: string; path: string }[] = [];
  for (const name of [CONFIG, WEIGHTS]) {
    const path = await placeOf(folder, name);
    if (path === undefined) throw name === CONFIG ? await notAnAdapter(folder) : withoutWeights(folder);
    files.push({ name, path });
  }
  return files;
}

/** Reads an adapter that PEFT or this library saved. Throws InputError for a folder that is none, and for unsupported kinds. */
export async function readAdapterFolder(folder: string): Promise<Adapter> {
  return await readFolder(folder, false);
}

/** The same of an adapter that may have changed W before it was trained, in whatever way: its pairs of matrices as they are. */
export async function readUnconvertedFolder(folder: string): Promise<Adapter> {
  return await readFolder(folder, true);
}

async function readFolder(folder: string, anyStart: boolean): Promise<Adapter> {
  const configPath = await placeOf(folder, CONFIG);
  if (configPath === undefined) throw await notAnAdapter(folder);
  const config = readPeftConfig(await readRequiredText(configPath), configPath, anyStart);
  const weightsPath = await placeOf(folder, WEIGHTS);
  if (weightsPath === undefined) return readTorchWeights(config, folder);
  const adapter = await readPeftTensors(config, await openSafetensorsFile(weightsPath), weightsPath);
  const { metadata } = await readSafetensorsHeader(await FileByteSource.open(weightsPath));
  return { ...adapter, labelling: readLabelling(metadata, weightsPath) };
}

/** The weights as PEFT saved them before safetensors. */
async function readTorchWeights(config: AdapterConfig, folder: string): Promise<Adapter> {
  const path = join(folder, OLD_WEIGHTS);
  if (!(await exists(path))) throw withoutWeights(folder);
  return readPeftTensors(config, await openTorchFile(path), path);
}

/**
 * Writes an adapter into a folder, beside whatever else lies there. A kill or a full disk at any moment leaves the old adapter or the new
 * one for `readAdapterFolder`. Where only values change (every save of one training run) that is the renaming of one file, and so holds
 * for every reader; where the configuration changes too, the new files stand whole in a folder of their own before they move.
 */
export async function writeAdapterFolder(folder: string, adapter: Adapter): Promise<void> {
  try {
    await makeFolder(folder);
    await finishMove(folder);
    for (const file of [CARD, CONFIG, WEIGHTS]) await removeStaleTemporaries(folder, file);
    await rm(join(folder, UNFINISHED), { recursive: true, force: true });
    const same = (await textOf(join(folder, CONFIG))) === writePeftConfig(adapter.config);
    if (same) await writeFiles(folder, adapter);
    else await replaceFiles(folder, adapter);
  } catch (error) {
    throw explainWriteFailure(folder, error);
  }
}

async function replaceFiles(folder: string, adapter: Adapter): Promise<void> {
  const unfinished = join(folder, UNFINISHED);
  await mkdir(unfinished);
  try {
    await writeFiles(unfinished, adapter);
    await rename(unfinished, join(folder, NEXT));
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
  await finishMove(folder);
}

/** Each file appears whole. The weights come last: with them an equal configuration's adapter is renewed. */
async function writeFiles(folder: string, adapter: Adapter): Promise<void> {
  await writeFileAtomic(join(folder, CARD), modelCard(adapter));
  await writeFileAtomic(join(folder, CONFIG), writePeftConfig(adapter.config));
  const tensors = peftTensors(adapter).map(({ name, shape, values }) => ({ name, dtype: "F32" as const, shape, data: () => values }));
  await writeSafetensors(join(folder, WEIGHTS), tensors, { format: "pt", ...writeLabelling(adapter.labelling) });
}

/** Moves a whole new adapter to its place: the rest of a write, here or after a kill. */
async function finishMove(folder: string): Promise<void> {
  const next = join(folder, NEXT);
  if (!(await exists(next))) return;
  for (const file of [CARD, WEIGHTS, CONFIG]) {
    if (await exists(join(next, file))) await rename(join(next, file), join(folder, file));
  }
  await rmdir(next);
}

/** Where a file of the adapter lies, or undefined. */
async function placeOf(folder: string, file: string): Promise<string | undefined> {
  for (const path of [join(folder, NEXT, file), join(folder, file)]) {
    if (await exists(path)) return path;
  }
  return undefined;
}

async function notAnAdapter(folder: string): Promise<InputError> {
  const found = await stat(folder).catch(() => undefined);
  if (found === undefined)
    return new InputError(`${folder} does not exist. Give the folder of an adapter: it holds ${CONFIG} and ${WEIGHTS}.`);
  if (!found.isDirectory()) return new InputError(`${folder} is a file. Give the folder of an adapter: it holds ${CONFIG} and ${WEIGHTS}.`);
  const model = (await exists(join(folder, "config.json"))) ? " It looks like a whole model: give it as the model instead." : "";
  return new InputError(`${folder} is not an adapter: it has no ${CONFIG}.${model}`);
}

function withoutWeights(folder: string): InputError {
  return new InputError(`${folder} has a ${CONFIG}, but no ${WEIGHTS}. Fetch or save the adapter again.`);
}

async function textOf(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8").catch(() => undefined);
}
