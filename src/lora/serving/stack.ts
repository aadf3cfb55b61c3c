import type { LinearLayer } from "../layer.js";
import { rankAt, ranksAt } from "./parts.js";
import type { ServedAdapter } from "./served-adapter.js";
import type { SiteGroup } from "./sites.js";

/** The adapters of each part of a batch at a group of L layers, in G stacks of R ranks, the last of which may be zero. */
export interface Stack {
  readonly ranks: number;
  readonly a: Float32Array; // [G, L·R, in]
  readonly b: ReadonlyMap<LinearLayer, Float32Array>; // [G, R, out] of each layer
}

/** Stacks the adapters of each part. A single adapter that sits at all of the layers is given as it is, without a copy. */
export function stackAt(group: SiteGroup, byPart: readonly (readonly ServedAdapter[])[]): Stack {
  return wholeAt(group, byPart) ?? copiedAt(group, byPart);
}

function wholeAt({ key, layers }: SiteGroup, [first, ...others]: readonly (readonly ServedAdapter[])[]): Stack | undefined {
  const own = first?.length === 1 && others.length === 0 ? first[0]?.groups.get(key) : undefined;
  if (own === undefined || own.layers.size !== layers.length) return undefined;
  return {
    ranks: own.rank,
    a: own.a,
    b: new Map(layers.flatMap((layer) => [[layer, own.layers.get(layer.name)?.b ?? new Float32Array()]])),
  };
}

function copiedAt(group: SiteGroup, byPart: readonly (readonly ServedAdapter[])[]): Stack {
  const { key, inputs, layers } = group;
  const ranks = ranksAt(byPart, group);
  const a = new Float32Array(byPart.length * layers.length * ranks * inputs);
  const b = new Map(layers.map((layer) => [layer, new Float32Array(byPart.length * ranks * layer.outputs)]));
  for (const [part, adapters] of byPart.entries()) {
    let before = 0;
    for (const adapter of adapters) {
      for (const [index, layer] of layers.entries()) {
        const own = adapter.groups.get(key)?.layers.get(layer.name);
        if (own === undefined) continue;
        a.set(own.a, ((part * layers.length + index) * ranks + before) * inputs);
        b.get(layer)?.set(own.b, (part * ranks + before) * layer.outputs);
      }
      before += rankAt(adapter, group);
    }
  }
  return { ranks, a, b };
}
