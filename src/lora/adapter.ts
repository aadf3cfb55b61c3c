import { RunError } from "../errors.js";
import { transposed } from "../weights/kernels/transpose.js";
import type { AdaptedLayer, AdapterLayer, LinearLayer } from "./layer.js";
import { type AdapterLayout, buildLayout, viewOf, type WholeTensor } from "./layout.js";
import type { AdapterSpec, Initialisation } from "./spec.js";
import { adaptableGroups, type VocabularyModel } from "./tables.js";
import { shortestNames } from "./targets.js";
import { holdsTokens, tokenRows } from "./trained-tokens.js";
import { EMBEDDING_A, EMBEDDING_B } from "./variants/embedding.js";
import { type Method, variantOf } from "./variants/index.js";
import { A, B } from "./variants/lora.js";
import type { VariantSettings } from "./variants/variant.js";
import { type BiasChoice, conv1dWeights, tiedPlaces, trainedModulesOf } from "./whole-tensors.js";

export type { AdapterLayer } from "./layer.js";

/** A tensor that was trained whole beside the adapter: a weight of the model, or a head's. */
export interface TrainedTensor {
  /** As in a checkpoint of the task: `model.norm.weight`, `score.weight`. */
  readonly name: string;
  /** As in such a checkpoint: a weight of transformers' Conv1D is [in, out]. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What the outputs of a trained head stand for. */
export interface Labelling {
  readonly task: "classification" | "token-classification" | "regression";
  /** The name of each output, in their order; one without meaning for a regression. */
  readonly labels: readonly string[];
}

/** The tasks whose adapters are read and written, by PEFT's names; an adapter without one is a language model's. */
export const taskTypes = ["CAUSAL_LM", "SEQ_CLS", "TOKEN_CLS", "FEATURE_EXTRACTION"] as const;
export type TaskType = (typeof taskTypes)[number];

/** What an adapter says of itself beside its matrices: what its configuration file stores. */
export interface AdapterConfig {
  readonly method: Method;
  /** Name of the model it was trained for; undefined where the file leaves it out. */
  readonly baseModel: string | undefined;
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  /** α/√r in place of α/r. */
  readonly rankStabilised: boolean;
  /** Ranks and alphas of layers that differ: pattern for (the end of) a path → value. The first match holds. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  /** A regular expression (string) or names, as PEFT's `target_modules`. */
  readonly targetModules: string | readonly string[];
  readonly excludeModules: string | readonly string[] | undefined;
  /** Numbers of the blocks that alone are adapted, as PEFT's `layers_to_transform`; undefined for all. */
  readonly blocks: readonly number[] | undefined;
  readonly initialisation: Initialisation;
  /** Its layers are transformers' Conv1D, as PEFT says by `fan_in_fan_out`; A and B are the same. */
  readonly isConv1D: boolean;
  readonly taskType: TaskType;
  /** Names of modules that may be trained whole, as PEFT's `modules_to_save`. */
  readonly trainedModules: readonly string[];
  /** What its variant was told beside. */
  readonly settings?: VariantSettings;
  /** The biases that are trained too. */
  readonly bias: BiasChoice;
  /** Tokens whose rows of the table of embeddings are trained, as PEFT's `trainable_token_indices`. */
  readonly trainedTokens?: readonly number[] | undefined;
  /** A table of embeddings that is trained is the head too, as PEFT's `ensure_weight_tying`. */
  readonly tiesWeights: boolean;
}

/** An adapter in memory, of no particular place in a model. */
export interface Adapter {
  readonly config: AdapterConfig;
  readonly layers: readonly AdapterLayer[];
  /** What was trained whole beside it. */
  readonly trained?: readonly TrainedTensor[];
  /** What the outputs of its head stand for, where its file says so. */
  readonly labelling?: Labelling | undefined;
}

/** The configuration of an adapter made from a spec. `layers` are all linear layers of the checkpoint, adapted or not. */
export function configOf(
  spec: AdapterSpec,
  layout: AdapterLayout,
  layers: readonly Pick<LinearLayer, "name">[],
  baseModel: string | undefined,
  { taskType, trainedModules }: Pick<AdapterConfig, "taskType" | "trainedModules"> = { taskType: "CAUSAL_LM", trainedModules: [] },
): AdapterConfig {
  const adapted = layout.groups.flatMap((group) => group.layers);
  return {
    method: spec.method ?? "lora",
    baseModel,
    rank: spec.rank,
    alpha: spec.alpha,
    dropout: spec.dropout,
    rankStabilised: spec.rankStabilised ?? false,
    rankPattern: spec.rankPattern ?? {},
    alphaPattern: spec.alphaPattern ?? {},
    targetModules: shortestNames(
      adapted.map((layer) => layer.name),
      layers.map((layer) => layer.name),
    ),
    excludeModules: undefined,
    blocks: undefined,
    initialisation: spec.initialisation,
    isConv1D: adapted.some(({ isConv1D }) => isConv1D),
    taskType,
    trainedModules: [...trainedModules, ...trainedModulesOf(layout.modules, spec)],
    bias: spec.bias ?? "none",
    trainedTokens: spec.tokens,
    tiesWeights: spec.tiesWeights ?? false,
    settings: spec.settings ?? {},
  };
}

/** The values of an adapter's parameters: the trainables, and what training left as it started. */
export interface AdapterVectors {
  readonly trainables: Float32Array;
  readonly frozen: Float32Array;
}

/**
 * The adapter whose values vectors hold, as PEFT stores it. Where that is the trained values themselves, they are views: a later change of
 * the vector changes them.
 */
export function adapterFromVectors(config: AdapterConfig, layout: AdapterLayout, vectors: AdapterVectors, labelling?: Labelling): Adapter {
  const { groups, modules } = layout;
  const layers = groups.flatMap(({ variant, layers }) =>
    layers.map(({ parameters, ...layer }) => {
      const values = [...parameters].map(
        ([name, place]) => [name, viewOf(place.isTrained ? vectors.trainables : vectors.frozen, place)] as const,
      );
      return variant.stored(layer, new Map(values));
    }),
  );
  const trained = modules.flatMap((entry) => storedTensors(entry, viewOf(vectors.trainables, entry)));
  const found = { ...config.settings, ...layout.variant.found?.(layers) };
  return { config: storedConfig({ ...config, settings: found }), layers, trained, labelling };
}

/** A tensor of the model as files have it: what is tied stands there twice, as PEFT asks for it. */
function storedTensors({ name, shape, places = [name], isConv1D, rows }: WholeTensor, values: Float32Array): TrainedTensor[] {
  if (rows !== undefined) return [{ name, shape, values }];
  if (!isConv1D) return places.map((place) => ({ name: place, shape, values }));
  return [{ name, shape: shape.toReversed(), values: transposed(values, shape[1] ?? 1) }];
}

/** What an adapter has trained whole, as the model reads it. */
export function wholeBeside({ trained = [], config }: Adapter, model: AdaptedModel): (WholeTensor & { values: Float32Array })[] {
  const { linearGroups, head } = model;
  const turned = conv1dWeights(linearGroups);
  const tied = config.tiesWeights ? tiedPlaces({ head }) : [];
  const [table] = tied;
  return trained
    .filter(({ name }) => name === table || !tied.includes(name)) // PEFT writes what is tied twice
    .map(({ name, shape, values }) => ({
      name,
      ...(holdsTokens(name) ? tokenRows(model, config.trainedTokens ?? []) : {}),
      ...(turned.has(name) ? { shape: shape.toReversed(), values: transposed(values, shape[1] ?? 1), isConv1D: true } : { shape, values }),
      ...(name === table ? { places: tied } : {}),
    }));
}

/** The configuration of an adapter as PEFT stores it: one of several times the rank is a plain LoRA. Its layers' scales stay. */
function storedConfig(config: AdapterConfig): AdapterConfig {
  const { storedRanks } = variantOf(config.method);
  return storedRanks === 1 ? config : widenedConfig(config, storedRanks);
}

/** The configuration of a plain LoRA whose layers have several times the rank and the same scale. */
export function widenedConfig(config: AdapterConfig, ranks: number): AdapterConfig {
  const times = (patterns: Readonly<Record<string, number>>, factor: number) =>
    Object.fromEntries(Object.entries(patterns).map(([key, value]) => [key, value * factor]));
  const alphas = config.rankStabilised ? Math.sqrt(ranks) : ranks;
  return {
    ...config,
    method: "lora",
    rank: config.rank * ranks,
    alpha: config.alpha * alphas,
    rankPattern: times(config.rankPattern, ranks),
    alphaPattern: times(config.alphaPattern, alphas),
  };
}

/** What laying an adapter out asks of a model. */
export type AdaptedModel = VocabularyModel;

/**
 * Lays an adapter out beside a model that it fits (see `checkFit`): the groups of the model, without the layers that the adapter leaves
 * alone, and the vector of its trainable values.
 */
export function vectorFromAdapter(adapter: Adapter, model: AdaptedModel): { layout: AdapterLayout; vector: Float32Array } {
  const byName = new Map(adapter.layers.map((layer) => [layer.name, layer]));
  const adapted = adaptableGroups(model)
    .map((group) => group.flatMap((layer) => withStrength(layer, byName.get(layer.name))))
    .filter((group) => group.length > 0);
  const whole = wholeBeside(adapter, model);
  const layout = buildLayout(
    adapted,
    whole.map(({ values: _, ...tensor }) => tensor),
    variantOf(adapter.config.method),
  );
  const vector = new Float32Array(layout.length);
  for (const layer of layout.groups.flatMap((group) => group.layers)) {
    const values = byName.get(layer.name);
    if (values === undefined) continue;
    const pair = { [A]: values.a, [B]: values.b, [EMBEDDING_A]: values.b, [EMBEDDING_B]: values.a };
    const stored = new Map([...(values.vectors ?? []), ...Object.entries(pair)]);
    for (const [name, place] of layer.parameters) if (place.isTrained) viewOf(vector, place).set(stored.get(name) ?? []);
    byName.delete(layer.name);
  }
  for (const [index, entry] of layout.modules.entries()) viewOf(vector, entry).set(whole[index]?.values ?? []);
  if (byName.size > 0)
    throw new RunError(`The model lacks layers of the adapter: ${[...byName.keys()].join(", ")}. Check the fit before loading.`);
  return { layout, vector };
}

function withStrength(layer: LinearLayer, values: AdapterLayer | undefined): AdaptedLayer[] {
  return values === undefined ? [] : [{ ...layer, rank: values.rank, scale: values.scale }];
}
