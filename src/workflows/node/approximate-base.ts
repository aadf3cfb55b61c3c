import { readdir } from "node:fs/promises";
import { InputError } from "../../errors.js";
import { isGgufFile } from "../../interchange/gguf/node/adapter-file.js";
import type { Adapter, AdapterLayer } from "../../lora/adapter.js";
import { checkFit } from "../../lora/fit.js";
import { unmergeInto } from "../../lora/kernels/merge.js";
import { mergeCheckpoint } from "../../lora/node/merge-checkpoint.js";
import { adaptableGroups } from "../../lora/tables.js";
import { variantOf } from "../../lora/variants/index.js";
import type { ModelGraph } from "../../models/architecture.js";
import type { StoredTensor } from "../../weights/checkpoint.js";
import { halfStep } from "../../weights/half-step.js";
import type { UnmergeResult } from "../api.js";
import { companionsOf } from "./companions.js";
import type { DescribedWeights } from "./described-model.js";
import { fileSizes } from "./file-sizes.js";
import type { WorkerContext } from "./worker/context.js";

interface Approximation {
  /** The merged model. */
  readonly described: DescribedWeights<ModelGraph>;
  readonly adapter: Adapter;
  readonly out: string;
  /** What the person called the merged model. */
  readonly name: string;
  readonly context: WorkerContext;
  readonly notes: readonly string[];
}

/**
 * Writes W' − ΔW as a folder, in the types of the merged model: the base but for two roundings, whose largest sum is found on the way.
 *
 * @throws InputError where ΔW depends on W (DoRA), or where weights in blocks say too little of it.
 */
export async function approximateBase({ described, adapter, out, name, context, notes }: Approximation): Promise<UnmergeResult> {
  const { checkpoint, model } = described;
  checkFit(adapter, adaptableGroups(model).flat(), described.name, { model });
  if (isGgufFile(out)) throw new InputError("--approximate writes a folder: give --out the name of one, without .gguf.");
  const changes = await Promise.all(adapter.layers.map((layer) => negated(adapter, layer)));
  const distance = await largestDistance(described, changes, context.signal);
  const { emit, signal } = context;
  const { folder } = await mergeCheckpoint({
    checkpoint,
    model,
    adapter: { config: { ...adapter.config, method: "lora" }, layers: changes },
    out,
    modelName: name,
    companions: await companionsOf(described),
    type: "original",
    onProgress: ({ done, total }) => emit({ task: "subtracting the change", done, total, unit: "bytes" }),
    signal,
  });
  const kept = (adapter.trained ?? []).length;
  const more =
    kept === 0
      ? []
      : [`${kept} tensors that were trained whole stay as they were trained: the merged model says nothing of what they were before.`];
  return {
    out: folder,
    ...(await fileSizes(folder, (await readdir(folder)).sort())),
    layers: changes.length,
    approximate: distance,
    notes: [...notes, ...more],
  };
}

/** A layer of the opposite change, as a plain LoRA has it. */
async function negated({ config }: Adapter, layer: AdapterLayer): Promise<AdapterLayer> {
  const form = await variantOf(config.method).inference(layer, () => {
    throw new InputError(
      `What the adapter changes depends on the base's own weights (${config.method}), and they are not there: its change cannot be subtracted. Take the base, or merge with --restorable.`,
    );
  });
  const { name, inputs, outputs } = layer;
  return { name, inputs, outputs, rank: form.rank, scale: -form.scale, a: form.a, b: form.b };
}

/** The half steps of the merged weights and of those that are written, largest over all layers. */
async function largestDistance(
  { checkpoint }: Pick<DescribedWeights<ModelGraph>, "checkpoint">,
  changes: readonly AdapterLayer[],
  signal: AbortSignal,
): Promise<NonNullable<UnmergeResult["approximate"]>> {
  let [distance, largest] = [0, 0];
  for (const { scale, ...layer } of changes) {
    signal.throwIfAborted();
    const name = `${layer.name}.weight`;
    const tensor = checkpoint.tensors.get(name);
    const merged = await checkpoint.readFloat32(name);
    const before = new Float32Array(merged.length);
    unmergeInto(before, merged, { ...layer, scale: -scale });
    const [after, was] = [largestOf(merged), largestOf(before)];
    distance = Math.max(distance, stepOf(tensor, after) + stepOf(tensor, was));
    largest = Math.max(largest, was);
  }
  return { largestDistance: distance, largestWeight: largest };
}

function stepOf(tensor: StoredTensor | undefined, size: number): number {
  const step = tensor && halfStep(tensor.type, size);
  if (step !== undefined) return step + (halfStep("F32", size) ?? 0); // sums are rounded to float32 first
  throw new InputError(
    `${tensor?.name} is stored in blocks (${tensor?.type}): what was rounded away is as large as the change, and nothing near the base would come of it. Take the base, or merge with --restorable.`,
  );
}

const largestOf = (values: Float32Array): number => values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
