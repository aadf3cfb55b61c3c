import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Adapter } from "../../lora/adapter.js";
import { mergeCheckpoint } from "../../lora/node/merge-checkpoint.js";
import { readLanguageModel } from "../../models/index.js";
import { modelCheckpoint } from "../../models/model-checkpoint.js";
import { elementCount } from "../../weights/checkpoint.js";
import { checkRoom } from "../../weights/node/disk-room.js";
import { mapWeights } from "../../weights/node/mapped-weights.js";
import { openSafetensorsFolder } from "../../weights/node/open-checkpoint.js";
import { compileOptions, type Device } from "./model-weights.js";
import type { DescribedModel, OpenedModel } from "./open-model.js";
import type { WorkerContext } from "./worker/context.js";

/**
 * A model into whose weights an adapter is folded. They are written into a folder of their own, 4 bytes a weight; see `removeMerged`.
 *
 * @param folder an existing empty folder
 * @throws RunError before anything is written where the disk is too small.
 */
export async function openMerged(
  described: DescribedModel,
  adapter: Adapter,
  device: Device,
  folder: string,
  { signal, emit }: WorkerContext,
): Promise<OpenedModel> {
  const bytes = [...described.checkpoint.tensors.values()].reduce((sum, { shape }) => sum + 4 * (elementCount(shape) ?? 0), 0);
  const advice =
    "set TMPDIR (on Windows TEMP) to a folder on another disk, or answer with the adapter beside the model: the text is the same";
  await checkRoom(folder, `${described.name} with its adapter folded in`, bytes, advice);
  const merged = await mergeCheckpoint({
    checkpoint: described.checkpoint,
    model: described.model,
    adapter,
    out: join(folder, "model"),
    modelName: described.name,
    companions: [],
    onProgress: ({ done, total }) => emit({ task: "merging the adapter", done, total, unit: "bytes" }),
    signal,
  });
  const model = merged.untied ? readLanguageModel({ ...described.config, tie_word_embeddings: false }) : described.model;
  const checkpoint = modelCheckpoint(await openSafetensorsFolder(merged.folder), model);
  const mapped = await mapWeights(checkpoint, { cacheFolder: folder, names: model.weights.keys(), signal });
  return { ...described, model, precision: "fp32", compile: compileOptions(mapped, device) };
}

/**
 * Removes the folder of merged weights. While the engine has them mapped most systems take the name away and keep the bytes until the
 * last reader ends, so that nothing is left even if the process is killed; Windows refuses, and the folder stays until the worker has ended.
 */
export async function removeMerged(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true }).catch(() => undefined);
}
