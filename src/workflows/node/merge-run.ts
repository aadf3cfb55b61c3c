import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../../errors.js";
import { type Companion, companionsOfFolder, mergeCheckpoint } from "../../lora/node/merge-checkpoint.js";
import { readModel } from "../../models/index.js";
import { tokenizerFiles } from "../../text/tokenizer-files.js";
import type { MergeResult } from "../api.js";
import { inCode, mergeSet, parseOptions } from "../options.js";
import { findAdapter, readPlacedAdapter } from "./adapter-place.js";
import type { DescribedModel } from "./described-model.js";
import { describeModelAs } from "./open-model.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `merge`, in its worker. */
export async function runMerge(options: unknown, { signal, emit }: WorkerContext): Promise<MergeResult> {
  const { model, adapter: directory, out } = parseOptions(mergeSet, options, inCode);
  const place = await findAdapter(directory);
  const notes: string[] = [];
  const described = await describeModelAs(readModel, model, { signal, onProgress: emit, onNotice: (note) => notes.push(note) });
  const read = await readPlacedAdapter(place, described.model);
  if ((read.trained ?? []).length > 0) {
    throw new InputError(
      `${place} has a head for labels, which merging does not fold in. Use the adapter as it is: lorikeet classify --adapter ${directory}.`,
    );
  }
  const { folder, mergedLayers } = await mergeCheckpoint({
    checkpoint: described.checkpoint,
    model: described.model,
    adapter: read,
    out,
    modelName: model,
    companions: await companionsOf(described),
    onProgress: ({ done, total }) => emit({ task: "merging", done, total, unit: "bytes" }),
    signal,
  });
  const files = (await readdir(folder)).sort();
  return { out: folder, files, bytes: await bytesOf(folder, files), layers: mergedLayers, notes };
}

/** The files beside the weights: a folder's own, or made from what a GGUF says. */
export async function companionsOf({
  path,
  config,
  ggufMetadata,
}: Pick<DescribedModel, "path" | "config" | "ggufMetadata">): Promise<Companion[]> {
  if (ggufMetadata === undefined) return await companionsOfFolder(path);
  const files = { "config.json": config, ...tokenizerFiles(ggufMetadata, path) };
  return Object.entries(files).map(([name, content]) => ({ name, text: `${JSON.stringify(content, null, 2)}\n` }));
}

async function bytesOf(folder: string, files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(folder, file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
