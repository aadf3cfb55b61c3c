import { InputError } from "../../errors.js";
import type { Adapter } from "../adapter.js";
import { plainLayers, type WeightOf } from "../plain.js";
import { plainConfig } from "../plain-config.js";
import { carrierOf, checkBases, checkLayers, type LayersByName, type Part } from "./agreement.js";
import { type CombinationSettings, type CombinedLayer, combineLayer, type WeightedLayer } from "./combine-layer.js";

/** What became of a layer. */
export interface LayerCombination extends Omit<CombinedLayer, "layer"> {
  readonly name: string;
  readonly rank: number;
}

export interface Combination {
  readonly adapter: Adapter;
  readonly layers: readonly LayerCombination[];
}

/** What a combination is told of its surroundings. */
export interface CombinationControls {
  /** The weights of the model, for adapters that start from them. */
  readonly weightOf?: WeightOf | undefined;
  /** Take adapters that name different models. */
  readonly sameBase?: boolean | undefined;
  /** Awaited before each layer, with the number of those done; it ends the work by throwing. */
  readonly pause?: ((done: number, total: number) => Promise<void>) | undefined;
}

/**
 * One adapter of several: at each layer that any of them has, the combination of those that have it. What one of them trained whole beside
 * its matrices comes along.
 *
 * @throws InputError where they do not fit together.
 */
export async function combineAdapters(
  parts: readonly Part[],
  settings: CombinationSettings,
  { weightOf, sameBase = false, pause }: CombinationControls = {},
): Promise<Combination> {
  const counted = parts.filter(({ weight }) => weight !== 0);
  const [first] = counted;
  if (first === undefined) throw new InputError("Nothing is left of the adapters: all their factors are zero.");
  if (!sameBase) checkBases(counted);
  const carrier = carrierOf(counted);
  const byName = await layersOf(counted, weightOf);
  checkLayers(byName, settings.type, counted);

  const combined: (CombinedLayer & LayerCombination)[] = [];
  for (const [name, terms] of byName) {
    await pause?.(combined.length, byName.size);
    const one = combineLayer(terms, settings);
    combined.push({ ...one, name, rank: one.layer.rank });
  }
  const layers = combined.map(({ layer }) => layer);
  const { config } = (carrier ?? first).adapter;
  const adapter: Adapter = {
    config: {
      ...plainConfig(config, layers, targetsOf(counted, layers)),
      baseModel: counted.find((part) => part.adapter.config.baseModel !== undefined)?.adapter.config.baseModel,
      excludeModules: undefined,
      blocks: undefined,
    },
    layers,
    trained: carrier?.adapter.trained ?? [],
    labelling: carrier?.adapter.labelling,
  };
  return { adapter, layers: combined.map(({ layer: _, ...rest }) => rest) };
}

async function layersOf(parts: readonly Part[], weightOf: WeightOf | undefined): Promise<LayersByName> {
  const byName = new Map<string, WeightedLayer[]>();
  for (const [index, { name, weight, adapter }] of parts.entries()) {
    for (const layer of await plainLayers(adapter, name, weightOf)) {
      const terms = byName.get(layer.name) ?? [];
      byName.set(layer.name, [...terms, { adapter: index, weight, layer }]);
    }
  }
  return byName;
}

/** The union of the adapters' names where these are no more than names, else the paths of the layers. */
function targetsOf(parts: readonly Part[], layers: readonly { readonly name: string }[]): readonly string[] {
  const names = parts.map(({ adapter: { config } }) =>
    typeof config.targetModules !== "string" &&
    config.targetModules.length > 0 &&
    config.excludeModules === undefined &&
    config.blocks === undefined
      ? config.targetModules
      : undefined,
  );
  if (names.some((each) => each === undefined)) return layers.map(({ name }) => name);
  return [...new Set(names.flatMap((each) => each ?? []))];
}
