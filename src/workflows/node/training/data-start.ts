import { epochPlan } from "../../../data/batch.js";
import { pick } from "../../../data/series.js";
import { lengthsOf } from "../../../data/sizes.js";
import { type AdapterSpec, withRanks } from "../../../lora/spec.js";
import { variantOf } from "../../../lora/variants/index.js";
import { nodeEngine } from "../../../runtime/node/engine.js";
import { lookedAt, startFromData } from "../../../training/data-start.js";
import type { RunIdentity } from "../../../training/node/checkpoint-file.js";
import type { OpenOptions } from "../described-model.js";
import { breathe } from "../worker/context.js";
import type { DataStarted, Look } from "./run-task.js";

/**
 * Lets a variant that starts from data look at the first batches of the run; undefined for the others.
 *
 * @param saved a run that goes on has its ranks already
 */
export async function startedFromData(
  spec: AdapterSpec,
  { settings, task, compile, maxTokens }: Look,
  saved: RunIdentity | undefined,
  { onProgress, signal }: OpenOptions,
): Promise<DataStarted<AdapterSpec> | undefined> {
  const { dataStart } = variantOf(spec.method ?? "lora");
  if (dataStart === undefined) return undefined;
  const known = ranksIn(saved);
  if (known !== undefined) return { product: withRanks(spec, new Map(Object.entries(known))), ranks: known };

  const examples = task.data.train;
  const { batchSize, seed, startBatches, svdRounds: rounds } = settings;
  const plan = epochPlan(lengthsOf(examples), batchSize, seed, 0);
  const batches = plan.slice(0, startBatches).map((indexes) => lookedAt(pick(examples, indexes)));
  const pause = async (done: number, total: number) => {
    onProgress?.({ task: "looking at what the layers read", done, total, unit: "items" });
    await breathe();
    signal?.throwIfAborted();
  };
  const { model } = task.learned;
  const started = await startFromData(nodeEngine, { model, spec, dataStart, batches, maxTokens, rounds, seed, pause }, compile);
  return { product: started.spec, ranks: Object.fromEntries(started.ranks), inputsOf: started.inputsOf };
}

function ranksIn(saved: RunIdentity | undefined): Readonly<Record<string, number>> | undefined {
  const ranks = saved?.run.ranks;
  if (typeof ranks !== "object" || ranks === null) return undefined;
  return Object.fromEntries(Object.entries(ranks).map(([name, rank]) => [name, Number(rank)]));
}
