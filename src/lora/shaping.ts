import { type AdapterLayout, viewOf } from "./layout.js";
import type { UpdateShaping, VariantSettings } from "./variants/variant.js";

/** What the variant of a layout does at each update beside the optimizer; undefined where that is nothing. */
export function shapingOf({ variant, groups }: AdapterLayout, settings: VariantSettings = {}): UpdateShaping | undefined {
  const layers = groups.flatMap((group) => group.layers);
  const places = new Map(layers.map(({ name, parameters }) => [name, parameters]));
  const view = (vector: Float32Array, { name }: { readonly name: string }, parameter: string) => {
    const place = places.get(name)?.get(parameter);
    if (place === undefined) throw new Error(`${name} has no ${parameter}`);
    return viewOf(vector, place);
  };
  return variant.shaping?.({ layers, view }, settings);
}
