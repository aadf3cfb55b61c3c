import { InputError } from "../../errors.js";
import { createRoundingMeter } from "../../lora/merge-rounding.js";
import { type FolderType, mergeCheckpoint } from "../../lora/node/merge-checkpoint.js";
import { holdsTokens } from "../../lora/trained-tokens.js";
import { placesOf } from "../../lora/whole-tensors.js";
import { readModel } from "../../models/index.js";
import type { MergeResult } from "../api.js";
import { formOf, inCode, mergeSet, parseOptions } from "../options.js";
import { findAdapter, readPlacedAdapter } from "./adapter-place.js";
import { mergedPlace, recordBase, recordFolder } from "./base-record.js";
import { companionsOf } from "./companions.js";
import { fileSizes, filesOf } from "./file-sizes.js";
import { mergeToGguf } from "./merge-gguf.js";
import { mergeToOnnx } from "./merge-onnx.js";
import { outputComparison } from "./merge-outputs.js";
import { type MergedFiles, type MergeWork, weightTypes } from "./merge-work.js";
import { describeWeights } from "./open-model.js";
import type { WorkerContext } from "./worker/context.js";

/** The work of `merge`, in its worker. */
export async function runMerge(options: unknown, context: WorkerContext): Promise<MergeResult> {
  const settings = parseOptions(mergeSet, options, inCode);
  const { model, adapter: directory } = settings;
  const place = await findAdapter(directory, context);
  const notes: string[] = [];
  const opening = { signal: context.signal, onProgress: context.emit, onNotice: (note: string) => notes.push(note) };
  const described = await describeWeights(readModel, model, opening);
  const adapter = await readPlacedAdapter(place, described.model);
  const places = placesOf(described.model);
  if (adapter.trained?.some(({ name }) => !places.has(name) && !holdsTokens(name))) {
    throw new InputError(
      `${place} has a head for labels, which merging does not fold in. Use the adapter as it is: lorikeet classify --adapter ${directory}.`,
    );
  }
  const work = { described, adapter, settings, context, meter: createRoundingMeter() };
  const compare = settings.measure === undefined ? undefined : await outputComparison(work, settings.measure);
  const { notes: more = [], ...written } = await writers[formOf(settings)](work);
  const outputs = compare === undefined ? {} : { outputs: await compare(await mergedPlace(written.out)) };
  return { ...written, layers: adapter.layers.length, rounding: work.meter.result(), ...outputs, notes: [...notes, ...more] };
}

/** How each form of `--to` is written. */
const writers: Readonly<Record<ReturnType<typeof formOf>, (work: MergeWork) => Promise<MergedFiles>>> = {
  folder: mergeToFolder,
  gguf: mergeToGguf,
  onnx: mergeToOnnx,
};

async function mergeToFolder(work: MergeWork): Promise<MergedFiles> {
  const { described, adapter, settings, meter, context } = work;
  const { signal, emit } = context;
  let recordBytes = 0;
  const { folder } = await mergeCheckpoint({
    checkpoint: described.checkpoint,
    model: described.model,
    adapter,
    out: settings.out,
    modelName: settings.model,
    companions: await companionsOf(described),
    type: weightTypes[(settings.dtype ?? "original") as keyof typeof weightTypes] as FolderType | "original",
    maxShardBytes: settings.maxShardSize,
    meter,
    finish: async (unfinished) => {
      if (settings.restorable) recordBytes = await recordBase(recordFolder(unfinished), unfinished, work);
    },
    onProgress: ({ done, total }) => emit({ task: "merging", done, total, unit: "bytes" }),
    signal,
  });
  const record = settings.restorable ? { record: { folder: recordFolder(folder), bytes: recordBytes } } : {};
  return { out: folder, ...(await fileSizes(folder, await filesOf(folder))), ...record };
}
