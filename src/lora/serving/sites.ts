import type { LinearGroup } from "../layer.js";
import { groupKey, type ServedAdapter } from "./served-adapter.js";

/** Layers that read one input, as far as adapters sit at them. */
export interface SiteGroup {
  /** That of the model's group; see `groupKey`. */
  readonly key: string;
  readonly inputs: number;
  readonly layers: LinearGroup;
}

/** Where a program takes adapters: any whose layers are among these go into it and out of it, whatever their ranks and number. */
export interface AdapterSites {
  readonly groups: readonly SiteGroup[];
  /** Whether it takes gains, as DoRA's answers have: a pass over each output, which other adapters do without. */
  readonly gains: boolean;
}

/** The sites that some adapters of a model need together. */
export function sitesOf(adapters: readonly ServedAdapter[], groups: readonly LinearGroup[]): AdapterSites {
  const adapted = new Set(adapters.flatMap(layersOf));
  return {
    groups: groups.flatMap((group) => {
      const layers = group.filter(({ name }) => adapted.has(name));
      const [first] = layers;
      return first === undefined ? [] : [{ key: groupKey(group), inputs: first.inputs, layers }];
    }),
    gains: adapters.some(hasGains),
  };
}

/** Whether an adapter goes into a program with these sites. */
export function covers({ groups, gains }: AdapterSites, adapter: ServedAdapter): boolean {
  const sites = new Set(groups.flatMap(({ layers }) => layers.map(({ name }) => name)));
  return layersOf(adapter).every((name) => sites.has(name)) && (gains || !hasGains(adapter));
}

const layersOf = ({ groups }: ServedAdapter) => [...groups.values()].flatMap(({ layers }) => [...layers.keys()]);

function hasGains({ groups }: ServedAdapter): boolean {
  return [...groups.values()].some(({ layers }) => [...layers.values()].some(({ gain }) => gain !== undefined));
}
