import { rm } from "node:fs/promises";
import { InputError } from "../../../errors.js";
import type { AdapterConfig } from "../../../lora/adapter.js";
import { starts } from "../../../lora/initialise.js";
import type { AdapterLayout } from "../../../lora/layout.js";
import { writeModel } from "../../../lora/node/merge-checkpoint.js";
import type { AdapterSpec } from "../../../lora/spec.js";
import type { ModelGraph } from "../../../models/architecture.js";
import { modelCheckpoint } from "../../../models/model-checkpoint.js";
import { checkpointWith } from "../../../weights/computed-checkpoint.js";
import { settledBlocks } from "../../../weights/kernels/blocks.js";
import { BLOCK } from "../../../weights/node/block-weights.js";
import { openSafetensorsFolder } from "../../../weights/node/open-checkpoint.js";
import type { TrainSettings } from "../../options.js";
import { weightsOf } from "../applied-adapter.js";
import { companionsOf } from "../companions.js";
import type { DescribedModel, OpenOptions } from "../described-model.js";
import { runFolder } from "../run-folder.js";
import { breathe } from "../worker/context.js";

/** An adapter that may want frozen weights of its own. */
interface Wish {
  readonly settings: TrainSettings;
  readonly spec: AdapterSpec;
  readonly layout: AdapterLayout;
  readonly config: AdapterConfig;
}

/** The values of a matrix [.., in] in the blocks of `--precision 4bit`; a matrix that no whole number of blocks fits stays as it is. */
function rounded(matrix: Float32Array, inputs: number): Float32Array {
  return inputs % BLOCK === 0 ? settledBlocks(matrix, BLOCK) : matrix;
}

/**
 * The model that an adapter is trained beside: where its variant wants other frozen weights, they are written once into the run's folder,
 * as a model that transformers loads too, and read from there.
 */
export async function withOwnBase<Model extends ModelGraph>(
  described: DescribedModel<Model>,
  wish: Wish,
  options: OpenOptions,
): Promise<DescribedModel<Model>> {
  if (wish.layout.variant.base === undefined) return described;
  const { base } = runFolder(wish.settings.out);
  if (!wish.settings.resume) {
    await rm(base, { recursive: true, force: true }); // of a run that ended before its first checkpoint
    await writeBase(base, described, wish, options);
  }
  const checkpoint = modelCheckpoint(await openSafetensorsFolder(base), described.model);
  return { ...described, name: base, path: base, checkpoint, ggufMetadata: undefined };
}

async function writeBase(
  out: string,
  described: DescribedModel<ModelGraph>,
  { settings, spec, layout, config }: Wish,
  { onProgress, signal }: OpenOptions,
): Promise<void> {
  const layers = layout.groups.flatMap((group) => group.layers);
  refuseRounded(described, layers);
  const { svdRounds: rounds, seed } = settings;
  const startOf = starts(layers, { ...spec, rounds, seed, weightOf: weightsOf(described), rounded });
  const computed = layers.map((layer) => {
    const values = async () => {
      await breathe();
      signal?.throwIfAborted();
      const found = await layout.variant.base?.(layer, startOf(layer));
      if (found === undefined) throw new Error("this variant has no base of its own");
      return found;
    };
    return [`${layer.name}.weight`, values] as const;
  });
  await writeModel({
    checkpoint: checkpointWith(described.checkpoint, new Map(computed)),
    model: described.model,
    adapter: { config, layers: [] },
    out,
    modelName: described.name,
    companions: await companionsOf(described),
    onProgress: ({ done, total }) => onProgress?.({ task: "writing the rounded base (once)", done, total, unit: "bytes" }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** What rounding took from weights that are rounded already is not known any more. */
function refuseRounded({ checkpoint, name }: DescribedModel<ModelGraph>, layers: readonly { readonly name: string }[]): void {
  const whole: readonly unknown[] = ["F32", "F16", "BF16"];
  const types = layers.map((layer) => checkpoint.tensors.get(`${layer.name}.weight`)?.type);
  const found = types.find((type) => !whole.includes(type));
  if (found === undefined) return;
  throw new InputError(
    `${name} is quantised already (${found}): what rounding took from its weights is not known. Take its full-precision version, or the method lora.`,
  );
}
