import { join } from "node:path";
import { lorikeetCacheFolder } from "../../hub/node/settings.js";
import type { ModelGraph } from "../../models/architecture.js";
import type { StoredWeight } from "../../runtime/emit.js";
import type { CompileOptions } from "../../runtime/program.js";
import { type BlockWeights, mapBlockWeights } from "../../weights/node/block-weights.js";
import type { DescribedModel, OpenOptions } from "./described-model.js";

/**
 * Weights that `--precision 4bit` rounds to 8 bits where the checkpoint has them in floating point: what is read by token. They
 * are a small part of a model, and an error there reaches every token.
 */
function roundedToEightBits({ weights, linearGroups }: ModelGraph): ReadonlySet<string> {
  const linear = new Set(linearGroups.flat().map(({ name }) => `${name}.weight`));
  return new Set([...weights.keys()].filter((name) => !linear.has(name)));
}

/** Puts a model's weights in blocks of 4 bits, or of as many as a quantised file has, where the engine maps them. */
export async function compileFourBit(
  { model, checkpoint }: DescribedModel<ModelGraph>,
  { target, threads }: Pick<CompileOptions, "target" | "threads">,
  { onProgress, signal }: OpenOptions,
): Promise<CompileOptions> {
  const weights = await mapBlockWeights(checkpoint, {
    cacheFolder: join(lorikeetCacheFolder(), "weights"),
    weights: model.weights.keys(),
    eightBits: roundedToEightBits(model),
    onProgress: ({ done, total }) => onProgress?.({ task: "preparing the weights in 4 bits (once)", done, total, unit: "bytes" }),
    signal,
  });
  return { target, threads, weightsFolder: weights.folder, weights: (name) => storedWeight(weights, name) };
}

function storedWeight({ file, blocks, float }: BlockWeights, name: string): StoredWeight {
  const place = ({ offset, byteLength }: { readonly offset: number; readonly byteLength: number }) => ({ file, offset, byteLength });
  const tensor = float.get(name);
  if (tensor !== undefined) return { dtype: "float32", shape: tensor.shape, data: place(tensor) };
  const form = blocks.get(name);
  if (form === undefined) throw new Error(`the checkpoint has no weight "${name}"`);
  const { shape, size, codeType, codes, scales, minimums } = form;
  return {
    dtype: "float32",
    shape,
    data: undefined,
    blocks: {
      size,
      codes: { dtype: codeType, data: place(codes) },
      scales: place(scales),
      minimums: minimums === undefined ? undefined : place(minimums),
    },
  };
}
