import { readdir } from "node:fs/promises";
import { InputError } from "../../errors.js";
import { type Companion, companionsOfFolder, type FolderType, mergeCheckpoint } from "../../lora/node/merge-checkpoint.js";
import { readModel } from "../../models/index.js";
import { tokenizerFiles } from "../../text/tokenizer-files.js";
import type { MergeResult } from "../api.js";
import { inCode, isGguf, mergeSet, parseOptions } from "../options.js";
import { findAdapter, readPlacedAdapter } from "./adapter-place.js";
import type { DescribedModel } from "./described-model.js";
import { fileSizes, type WrittenFiles } from "./file-sizes.js";
import { mergeToGguf } from "./merge-gguf.js";
import { type MergeWork, weightTypes } from "./merge-work.js";
import { describeModelAs } from "./open-model.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `merge`, in its worker. */
export async function runMerge(options: unknown, context: WorkerContext): Promise<MergeResult> {
  const settings = parseOptions(mergeSet, options, inCode);
  const { model, adapter: directory } = settings;
  const place = await findAdapter(directory);
  const notes: string[] = [];
  const opening = { signal: context.signal, onProgress: context.emit, onNotice: (note: string) => notes.push(note) };
  const described = await describeModelAs(readModel, model, opening);
  const adapter = await readPlacedAdapter(place, described.model);
  if ((adapter.trained ?? []).length > 0) {
    throw new InputError(
      `${place} has a head for labels, which merging does not fold in. Use the adapter as it is: lorikeet classify --adapter ${directory}.`,
    );
  }
  const work = { described, adapter, settings, context };
  const { notes: more = [], ...written } = isGguf(settings) ? await mergeToGguf(work) : await mergeToFolder(work);
  return { ...written, layers: adapter.layers.length, notes: [...notes, ...more] };
}

async function mergeToFolder({ described, adapter, settings, context: { signal, emit } }: MergeWork): Promise<WrittenFiles> {
  const { folder } = await mergeCheckpoint({
    checkpoint: described.checkpoint,
    model: described.model,
    adapter,
    out: settings.out,
    modelName: settings.model,
    companions: await companionsOf(described),
    type: weightTypes[settings.dtype ?? "original"] as FolderType | "original",
    maxShardBytes: settings.maxShardSize,
    onProgress: ({ done, total }) => emit({ task: "merging", done, total, unit: "bytes" }),
    signal,
  });
  return { out: folder, ...(await fileSizes(folder, (await readdir(folder)).sort())) };
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
