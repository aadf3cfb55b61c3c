import { InputError } from "../errors.js";
import { aliases } from "../hub/aliases.js";
import { parseHubName } from "../hub/model-name.js";
import type { Adapter, AdapterLayer, TrainedTensor } from "./adapter.js";
import type { LinearLayer } from "./layer.js";
import { HEAD, type VocabularyModel } from "./tables.js";
import { targetTest } from "./target-modules.js";
import { nearestNames } from "./targets.js";
import { holdsTokens, tableOf } from "./trained-tokens.js";
import { conv1dWeights, placesOf } from "./whole-tensors.js";

/** As many mismatches as one error spells out; the rest are counted. */
const LISTED_MISMATCHES = 20;

/** What an adapter may have trained whole. */
export interface Trainable {
  /** The model, whose weights it may replace; without it none of them. */
  readonly model?: VocabularyModel | undefined;
  /** The tensors of the head that it is used with, all of which it must have. */
  readonly head?: readonly Pick<TrainedTensor, "name" | "shape">[] | undefined;
}

/**
 * Throws one InputError with every way in which an adapter does not fit a model: layers that the model lacks, shapes that differ, layers
 * that its configuration means and its file lacks, a head that is missing or another, weights that are none of the model's, nothing at
 * all. `layers` are all linear layers of the model.
 */
export function checkFit(adapter: Adapter, layers: readonly LinearLayer[], modelName: string, { model, head = [] }: Trainable = {}): void {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const names = [...byName.keys()];
  const mismatches = adapter.layers.flatMap((layer) => mismatchOf(layer, byName.get(layer.name), names));
  const trained = adapter.trained ?? [];
  mismatches.push(...tokenMismatches(adapter, model));
  mismatches.push(
    ...trainedMismatches(
      trained.filter(({ name }) => !holdsTokens(name)),
      head,
      model,
    ),
  );
  if (adapter.layers.length === 0 && trained.length === 0 && head.length === 0) mismatches.push("it has no layer at all");
  else if (adapter.layers.length > 0) mismatches.push(...missingLayers(adapter, layers));
  if (mismatches.length === 0) return;

  const shown = mismatches.slice(0, LISTED_MISMATCHES).map((mismatch) => `\n- ${mismatch}`);
  const rest = mismatches.length - shown.length;
  throw new InputError(
    `The adapter does not fit the model ${modelName} (${mismatches.length} ${mismatches.length === 1 ? "mismatch" : "mismatches"}).${advice(adapter.config.baseModel, modelName)}${shown.join("")}${rest > 0 ? `\n- and ${rest} more` : ""}`,
  );
}

/** Trained tokens are rows of the table that the model reads. */
function tokenMismatches({ trained = [], config: { trainedTokens = [] } }: Adapter, model: Trainable["model"]): string[] {
  return trained
    .filter(({ name }) => holdsTokens(name))
    .flatMap(({ name, shape }) => {
      if (model === undefined) return [`${name}: trained tokens are not read here`];
      if (tableOf(name) !== model.embedding)
        return [`${name}: the rows of ${tableOf(name)} are trained, the model's table is ${model.embedding}`];
      const [rows = 0, columns] = model.weights.get(model.embedding) ?? [];
      const [count, width] = shape;
      const most = Math.max(...trainedTokens);
      if (width !== columns || count !== trainedTokens.length || shape.length !== 2)
        return [
          `${name}: ${trainedTokens.length} tokens need [${trainedTokens.length}, ${columns}], the adapter has [${shape.join(", ")}]`,
        ];
      return most < rows ? [] : [`${name}: token ${most} is trained, the model's table has tokens 0 to ${rows - 1}`];
    });
}

function trainedMismatches(
  trained: readonly TrainedTensor[],
  head: readonly Pick<TrainedTensor, "name" | "shape">[],
  model: Trainable["model"],
): string[] {
  const found = new Map(trained.map(({ name, shape }) => [name, shape]));
  const wanted = new Map(head.map(({ name, shape }) => [name, shape]));
  const turned = conv1dWeights(model?.linearGroups ?? []);
  const weights = model === undefined ? new Map<string, readonly number[]>() : placesOf(model);
  const shown = (shape: readonly number[]) => `[${shape.join(", ")}]`;
  const missing = head.flatMap(({ name, shape }) => {
    const theirs = found.get(name);
    if (theirs === undefined) return [`${name}: the adapter has no such tensor, but the head needs one of ${shown(shape)}`];
    return shown(theirs) === shown(shape) ? [] : [`${name}: the adapter has ${shown(theirs)}, the head needs ${shown(shape)}`];
  });
  for (const { name, shape } of trained) {
    const own = weights.get(name);
    const stored = own && turned.has(name) ? own.toReversed() : own;
    if (!wanted.has(name) && stored !== undefined && shown(stored) !== shown(shape))
      missing.push(`${name}: the adapter has trained ${shown(shape)}, the model has ${shown(stored)}`);
  }
  const unread = trained.filter(({ name }) => !wanted.has(name) && !weights.has(name)).map(({ name }) => name);
  if (unread.length === 0) return missing;
  const advice = head.length === 0 ? "it labels texts: ask it with `lorikeet classify`" : "the model's head has no such tensor";
  return [...missing, `${unread.join(", ")}: trained whole, and ${advice}`];
}

/** Where no layer of the model is meant, the names are another model's: the other mismatches say so. */
function missingLayers({ config, layers }: Adapter, all: readonly LinearLayer[]): string[] {
  const found = new Set(layers.map((layer) => layer.name));
  const { targetModules } = config;
  const namesAll = targetModules.length === 0 || String(targetModules).toLowerCase() === "all-linear";
  return all
    .filter(({ name, isTable }) => !(namesAll && (isTable || name === HEAD))) // the vocabulary's have to be named
    .map(({ name }) => name)
    .filter(targetTest(config))
    .filter((name) => !found.has(name))
    .map((name) => `${name}: the adapter's target_modules mean this layer, but its file has no matrices for it`);
}

function advice(baseModel: string | undefined, modelName: string): string {
  if (baseModel === undefined) return "";
  if (!isSameModel(baseModel, modelName)) return ` It was trained for ${baseModel}: use that model.`;
  return " It names this model as its base: one of the two has changed since, or the adapter's files belong to different adapters.";
}

/** Whether two names mean one model, as far as names tell: a folder's path is none of the Hub's names. */
export function isSameModel(one: string, other: string): boolean {
  return hubIdOf(one) === hubIdOf(other);
}

/** One name for what a short name, an address and an id mean. */
function hubIdOf(model: string): string {
  return (aliases.get(model)?.hub ?? parseHubName(model)?.repository ?? model).toLowerCase();
}

function mismatchOf(adapted: AdapterLayer, layer: LinearLayer | undefined, names: readonly string[]): string[] {
  if (layer === undefined && (adapted.isTable || adapted.name === HEAD))
    return [
      `${adapted.name}: an adapter of this method is not used beside the vocabulary's matrices: fold it into its model (lorikeet merge)`,
    ];
  if (layer === undefined)
    return [`${adapted.name}: the model has no such layer (nearest: ${nearestNames(adapted.name, names, 2).join(", ") || "none"})`];
  if ((adapted.isTable ?? false) !== (layer.isTable ?? false))
    return [
      `${adapted.name}: ${adapted.isTable ? "the adapter has it as a table of embeddings, and it is a layer" : "it is a table of embeddings, and the adapter has a layer's matrices for it"}`,
    ];
  const isAsWide = adapted.isWidest ? layer.inputs <= adapted.inputs : layer.inputs === adapted.inputs;
  if (isAsWide && layer.outputs === adapted.outputs) return [];
  return [
    `${adapted.name}: the adapter expects a weight of [${adapted.outputs}, ${adapted.inputs}], the model has [${layer.outputs}, ${layer.inputs}]`,
  ];
}
