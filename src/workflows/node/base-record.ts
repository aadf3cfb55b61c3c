import { basename, dirname, join, resolve } from "node:path";
import { InputError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { isGgufFile } from "../../interchange/gguf/node/adapter-file.js";
import { writeBaseRecord } from "../../lora/restoring/node/write-record.js";
import { RECORD } from "../../lora/restoring/record.js";
import { tiedPlaces } from "../../lora/whole-tensors.js";
import { readModel } from "../../models/index.js";
import { exists } from "../../weights/node/exists.js";
import type { MergeWork } from "./merge-work.js";
import { describeWeights } from "./open-model.js";

/** Where the record of the base of a merged model lies: in its folder, or beside a GGUF that has none of its own. */
export function recordFolder(merged: string): string {
  if (!isGgufFile(merged)) return join(merged, RECORD);
  return basename(merged) === MODEL_FILE ? join(dirname(merged), RECORD) : `${merged.slice(0, -".gguf".length)}.${RECORD}`;
}

/** The name of a GGUF in a folder that merging writes. */
export const MODEL_FILE = "model.gguf";

/**
 * The folder or the file that was merged: of a folder with a GGUF, that.
 *
 * @throws InputError where there is neither.
 */
export async function mergedPlace(merged: string): Promise<string> {
  const place = resolve(merged);
  if (!(await exists(place)))
    throw new InputError(`${merged} does not exist: give the folder or the .gguf file that lorikeet merge wrote.`);
  const inside = join(place, MODEL_FILE);
  return !isGgufFile(place) && !(await exists(join(place, "config.json"))) && (await exists(inside)) ? inside : place;
}

/** Keeps what restores the base of a merged model that has just been written; gives back the bytes of the record. */
export async function recordBase(
  folder: string,
  merged: string,
  { described, adapter, settings, context: { signal, emit } }: MergeWork,
): Promise<number> {
  const { name, path, checkpoint, model, ggufMetadata } = described;
  await makeFolder(folder);
  return await writeBaseRecord(folder, {
    base: { name: resolve(name) === path ? basename(path) : name, path, checkpoint, kind: ggufMetadata === undefined ? "folder" : "gguf" },
    merged: (await describeWeights(readModel, merged, { signal })).checkpoint,
    table: tiedPlaces(model)[0],
    adapter,
    adapterName: basename(resolve(settings.adapter)), // a merged folder is given away: it names no path of this machine
    signal,
    onProgress: ({ done, total }) => emit({ task: "keeping what restores the base", done, total, unit: "bytes" }),
  });
}
