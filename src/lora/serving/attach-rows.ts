import { product } from "../../graph/dimension.js";
import type { Graph, Tensor } from "../../graph/graph.js";
import type { LinearGroup, LinearLayer, ModelContext } from "../../models/architecture.js";
import { type FrozenLayers, throughFrozen } from "../../models/parts/layer-bias.js";
import { BATCH, byRow, bySequence } from "../../models/parts/rows.js";
import { mul } from "../../ops/mul.js";
import { rowAdapters } from "../../ops/row-adapters.js";
import type { AdapterSites, SiteGroup } from "./sites.js";

/** Symbols: the equal parts of a batch's rows that have adapters of their own, and the rows of each. */
export const PARTS = "parts";
export const MEMBERS = "members";
/** Symbol of the ranks of the adapters of a part at a group, all together. */
export const ranksOf = ({ key }: SiteGroup) => `ranks:${key}`;

/** Names of the inputs that hold the adapters of a batch. */
export const inputNames = {
  a: ({ key }: SiteGroup) => `adapters:${key}:A`,
  mask: ({ key }: SiteGroup) => `adapters:${key}:mask`,
  b: ({ name }: LinearLayer) => `adapters:${name}:B`,
  gain: ({ name }: LinearLayer) => `adapters:${name}:gain`,
} as const;

/**
 * Puts inputs for the adapters of a batch beside the frozen layers of a model; each sequence has its own, or none. Inputs of a group of L
 * layers: A [G, L·R, in] and its mask [G, M, L·R]; of each layer Bᵀ [G, R, out], and where there are gains those of each sequence
 * [B, 1, out]. `AdapterRows` fills them.
 *
 * @param oneRow a single row is fed: inputs have no axis for the parts, and there is no mask
 */
export function attachRows(
  graph: Graph,
  sites: AdapterSites,
  frozen: FrozenLayers,
  { oneRow }: { readonly oneRow: boolean },
): ModelContext["linear"] {
  const input = (name: string, ...shape: (number | string)[]) => graph.input(name, { dtype: "float32", shape });
  const groupOf = new Map(sites.groups.flatMap((group) => group.layers.map(({ name }) => [name, group] as const)));
  const parts = oneRow ? [] : [PARTS];

  const gained = (y: Tensor, layer: LinearLayer): Tensor =>
    sites.gains ? byRow(mul(bySequence(y), input(inputNames.gain(layer), BATCH, 1, layer.outputs))) : y;
  const adapted = (x: Tensor, group: SiteGroup): readonly Tensor[] => {
    const ranks = ranksOf(group);
    const all = product(group.layers.length, ranks);
    return rowAdapters({
      x,
      a: input(inputNames.a(group), ...parts, all, group.inputs),
      mask: oneRow ? undefined : input(inputNames.mask(group), PARTS, MEMBERS, all),
      layers: group.layers.map((layer) => ({
        b: input(inputNames.b(layer), ...parts, ranks, layer.outputs),
        addend: frozen.addBias(gained(frozen.product(x, layer), layer), layer),
      })),
    });
  };
  return <G extends LinearGroup>(x: Tensor, group: G) => {
    const site = group.flatMap(({ name }) => groupOf.get(name) ?? [])[0];
    const outputs = site === undefined ? [] : adapted(x, site);
    const byName = new Map(site?.layers.map(({ name }, index) => [name, outputs[index]]));
    return group.map((layer) => byName.get(layer.name) ?? throughFrozen(frozen, x, layer)) as { readonly [K in keyof G]: Tensor };
  };
}
