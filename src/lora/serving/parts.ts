import type { ServedAdapter } from "./served-adapter.js";
import type { AdapterSites, SiteGroup } from "./sites.js";

/** The adapter of each sequence of a batch, or none. */
export type RowAdapterList = readonly (ServedAdapter | undefined)[];

/**
 * A value that is read from memory costs as much as its products with so many rows: a processor's products a second over the values that
 * it reads in one, some 170 billion over 2.5 billion on two cores.
 */
const ROWS_PER_READ = 64;

/** The adapters of each of so many equal parts of a batch, each once. */
export function adaptersByPart(rows: RowAdapterList, parts: number): readonly (readonly ServedAdapter[])[] {
  const size = rows.length / parts;
  return Array.from({ length: parts }, (_, part) => {
    const own = rows.slice(part * size, (part + 1) * size);
    return [...new Set(own.filter((adapter) => adapter !== undefined))];
  });
}

/** The rank of an adapter at a group, 0 where it leaves the group alone. */
export function rankAt({ groups }: ServedAdapter, { key }: SiteGroup): number {
  return groups.get(key)?.rank ?? 0;
}

/** The rows of A and B that each part has at a group: as many as the fullest needs, and at least one. */
export function ranksAt(byPart: readonly (readonly ServedAdapter[])[], group: SiteGroup): number {
  return Math.max(1, ...byPart.map((adapters) => adapters.reduce((sum, adapter) => sum + rankAt(adapter, group), 0)));
}

/**
 * Into how many equal parts the rows of a batch are best divided. Each part's adapters are one stack, with which all of its rows are
 * multiplied: in one part every adapter is read once, and each row multiplied by all; with a sequence a part each is multiplied by
 * its own alone, and an adapter that several have is read several times. Both are counted.
 *
 * @param tokens rows of each sequence
 */
export function bestParts(rows: RowAdapterList, sites: AdapterSites, tokens: number): number {
  let best = { parts: 1, cost: Number.POSITIVE_INFINITY };
  for (let parts = 1; parts <= rows.length; parts++) {
    if (rows.length % parts !== 0) continue;
    const byPart = adaptersByPart(rows, parts);
    const members = (rows.length / parts) * tokens;
    const values = sites.groups.reduce((sum, group) => sum + parts * ranksAt(byPart, group) * widthOf(group), 0);
    const cost = values * (members + ROWS_PER_READ);
    if (cost < best.cost) best = { parts, cost };
  }
  return best.parts;
}

/** Values of a rank at a group: a row of each A and of each Bᵀ. */
const widthOf = ({ inputs, layers }: SiteGroup) => layers.reduce((sum, { outputs }) => sum + inputs + outputs, 0);
