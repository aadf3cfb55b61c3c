import type { LayerInspection } from "../../../lora/inspection.js";
import { blockOf } from "../../../lora/targets.js";

/** Layers by what they are (rows) and by the block that they lie in (columns). */
export interface LayerGrid {
  readonly kinds: readonly string[];
  readonly blocks: readonly number[];
  at(kind: string, block: number): LayerInspection | undefined;
  of(kind: string): readonly LayerInspection[];
}

/** The last part of a layer's path says what it is, as `q_proj`. */
export const kindOf = (name: string): string => name.slice(name.lastIndexOf(".") + 1);

export function gridOf(layers: readonly LayerInspection[]): LayerGrid {
  const place = ({ name }: LayerInspection) => blockOf(name);
  const inBlocks = layers.filter((layer) => Number.isFinite(place(layer)));
  const byKind = groups(layers);
  const places = new Map(inBlocks.map((layer) => [`${kindOf(layer.name)}/${place(layer)}`, layer]));
  return {
    kinds: [...byKind.keys()],
    blocks: [...new Set(inBlocks.map(place))].sort((a, b) => a - b),
    at: (kind, block) => places.get(`${kind}/${block}`),
    of: (kind) => byKind.get(kind) ?? [],
  };
}

function groups(layers: readonly LayerInspection[]): Map<string, LayerInspection[]> {
  const found = new Map<string, LayerInspection[]>();
  for (const layer of layers) found.set(kindOf(layer.name), [...(found.get(kindOf(layer.name)) ?? []), layer]);
  return found;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function median(values: readonly number[]): number {
  const order = [...values].sort((a, b) => a - b);
  const middle = order.length / 2;
  return order.length % 2 === 1 ? (order[Math.floor(middle)] ?? Number.NaN) : mean(order.slice(middle - 1, middle + 1));
}
