import { readdir } from "node:fs/promises";
import type { Adapter } from "../../lora/adapter.js";
import { checkFit } from "../../lora/fit.js";
import { writeAdapterFolder } from "../../lora/node/adapter-folder.js";
import { parameterCount } from "../../lora/peft-tensors.js";
import type { WeightOf } from "../../lora/plain.js";
import { adaptableGroups } from "../../lora/tables.js";
import { readModel } from "../../models/index.js";
import { writeFolderAtomic } from "../../weights/node/atomic-folder.js";
import type { DerivedAdapter, Progress } from "../api.js";
import { weightsOf } from "./applied-adapter.js";
import type { DescribedWeights } from "./described-model.js";
import { fileSizes } from "./file-sizes.js";
import { describeWeights } from "./open-model.js";
import { breathe, type WorkerContext } from "./worker/context.js";

// What combine, resize, convert and extract have in common: a new adapter in a new folder, made layer by layer.

/** Writes an adapter into a folder that appears whole or not at all. */
export async function writeDerived(out: string, adapter: Adapter): Promise<Pick<DerivedAdapter, "out" | "files" | "bytes" | "parameters">> {
  const folder = await writeFolderAtomic(out, "the adapter", (unfinished) => writeAdapterFolder(unfinished, adapter));
  return { out: folder, ...(await fileSizes(folder, (await readdir(folder)).sort())), parameters: parameterCount(adapter) };
}

/** The error of all layers together, from the norm of each and the share of it that is lost. */
export function totalError(layers: readonly { readonly norm: number; readonly relativeError: number }[]): number {
  const norm = Math.hypot(...layers.map((layer) => layer.norm));
  return norm === 0 ? 0 : Math.hypot(...layers.map((layer) => layer.norm * layer.relativeError)) / norm;
}

/** Says how far a task has come before each of its items, and stops it where it is aborted. */
export function pausing(task: string, { signal, emit }: WorkerContext): (done: number, total: number) => Promise<void> {
  return async (done, total) => {
    emit({ task, done, total, unit: "items" } satisfies Progress);
    await breathe();
    signal.throwIfAborted();
  };
}

/** The model that adapters may need beside them: a description, where one is named. */
export async function describeTheirs(
  model: string | undefined,
  { signal, emit }: WorkerContext,
  onNotice: (note: string) => void,
): Promise<DescribedWeights<ReturnType<typeof readModel>> | undefined> {
  return model === undefined ? undefined : await describeWeights(readModel, model, { signal, onProgress: emit, onNotice });
}

/** How a model's weights are read for an adapter that fits it; undefined without a model. */
export function weightsFor(adapter: Adapter, described: Awaited<ReturnType<typeof describeTheirs>>): WeightOf | undefined {
  if (described === undefined) return undefined;
  checkFit({ ...adapter, trained: [] }, adaptableGroups(described.model).flat(), described.name);
  return weightsOf(described);
}
