import type { HostData } from "../../runtime/engine.js";
import { inputNames, MEMBERS, PARTS, ranksOf } from "./attach-rows.js";
import { adaptersByPart, bestParts, type RowAdapterList, rankAt, ranksAt } from "./parts.js";
import type { ServedAdapter } from "./served-adapter.js";
import type { AdapterSites, SiteGroup } from "./sites.js";
import { type Stack, stackAt } from "./stack.js";

type ByPart = readonly (readonly ServedAdapter[])[];
type Feeds = Record<string, HostData>;

/** What a program with sites is fed of adapters in one run. */
export interface AdapterFeeds {
  readonly feeds: Readonly<Record<string, HostData>>;
  /** Values of the symbols. */
  readonly dimensions: Readonly<Record<string, number>>;
}

/**
 * The adapters of the sequences of a batch as inputs of a program. The matrices of a batch of one adapter are its own memory; those of
 * several are copied side by side when the batch begins, or when its adapters change, not for each token.
 */
export class AdapterRows {
  readonly #sites: AdapterSites;
  #rows: RowAdapterList;
  /** The last ones: a prompt may want others than the tokens behind it. */
  #stacks: { readonly byPart: ByPart; readonly stacks: ReadonlyMap<SiteGroup, Stack> } | undefined;
  #gains: Feeds | undefined;
  #last: { readonly tokens: number; readonly given: AdapterFeeds } | undefined;

  constructor(sites: AdapterSites, rows: RowAdapterList) {
    this.#sites = sites;
    this.#rows = rows;
  }

  /** Gives the sequences other adapters. Stacks of the same adapters stay. */
  assign(rows: RowAdapterList): void {
    if (rows.length === this.#rows.length && rows.every((adapter, row) => adapter === this.#rows[row])) return;
    this.#rows = rows;
    this.#gains = undefined;
    this.#last = undefined;
  }

  /** The inputs of a run in which each sequence has so many rows. */
  feeds(tokens: number): AdapterFeeds {
    if (this.#last?.tokens === tokens) return this.#last.given;
    this.#last = undefined; // so that the memory of stacks that are not wanted any more is free
    const given = this.#feeds(tokens);
    this.#last = { tokens, given };
    return given;
  }

  #feeds(tokens: number): AdapterFeeds {
    const parts = bestParts(this.#rows, this.#sites, tokens);
    const { byPart, stacks } = this.#stacksOf(parts);
    const feeds: Feeds = { ...this.#masksOf(byPart, tokens), ...this.#gainsOfRows() };
    const dimensions: Record<string, number> = { [PARTS]: parts, [MEMBERS]: (this.#rows.length / parts) * tokens };
    for (const [group, { ranks, a, b }] of stacks) {
      dimensions[ranksOf(group)] = ranks;
      feeds[inputNames.a(group)] = a;
      for (const [layer, values] of b) feeds[inputNames.b(layer)] = values;
    }
    return { feeds, dimensions };
  }

  #stacksOf(parts: number) {
    const byPart = adaptersByPart(this.#rows, parts);
    if (this.#stacks !== undefined && sameSets(this.#stacks.byPart, byPart)) return this.#stacks;
    this.#stacks = undefined;
    this.#stacks = { byPart, stacks: new Map(this.#sites.groups.map((group) => [group, stackAt(group, byPart)])) };
    return this.#stacks;
  }

  /** Ones where a rank of a part's stack is a row's own. Groups at which the adapters have the same ranks have the same mask. */
  #masksOf(byPart: ByPart, tokens: number): Feeds {
    const feeds: Feeds = {};
    const known = new Map<string, Float32Array>();
    for (const group of this.#sites.groups) {
      const pattern = [group.layers.length, ...byPart.flat().map((adapter) => rankAt(adapter, group))].join();
      const mask = known.get(pattern) ?? maskOf(this.#rows, group, byPart, tokens);
      known.set(pattern, mask);
      feeds[inputNames.mask(group)] = mask;
    }
    return feeds;
  }

  /** The gains of each sequence at each layer, ones where its adapter has none. */
  #gainsOfRows(): Feeds {
    if (!this.#sites.gains) return {};
    this.#gains ??= Object.fromEntries(
      this.#sites.groups.flatMap(({ key, layers }) =>
        layers.map((layer) => {
          const gains = new Float32Array(this.#rows.length * layer.outputs).fill(1); // [B, out]
          for (const [row, adapter] of this.#rows.entries()) {
            const own = adapter?.groups.get(key)?.layers.get(layer.name)?.gain;
            if (own !== undefined) gains.set(own, row * layer.outputs);
          }
          return [inputNames.gain(layer), gains];
        }),
      ),
    );
    return this.#gains;
  }
}

/** [G, M, L·R]. */
function maskOf(rows: RowAdapterList, group: SiteGroup, byPart: ByPart, tokens: number): Float32Array {
  const layers = group.layers.length;
  const ranks = ranksAt(byPart, group);
  const sequences = rows.length / byPart.length;
  const mask = new Float32Array(rows.length * tokens * layers * ranks);
  for (const [row, adapter] of rows.entries()) {
    if (adapter === undefined) continue;
    const stacked = byPart[Math.floor(row / sequences)] ?? [];
    const before = stacked.slice(0, stacked.indexOf(adapter)).reduce((sum, other) => sum + rankAt(other, group), 0);
    for (let at = row * tokens * layers; at < (row + 1) * tokens * layers; at++) {
      mask.fill(1, at * ranks + before, at * ranks + before + rankAt(adapter, group));
    }
  }
  return mask;
}

function sameSets(a: ByPart, b: ByPart): boolean {
  if (a.length !== b.length) return false;
  return a.every((adapters, part) => {
    const others = b[part] ?? [];
    return adapters.length === others.length && adapters.every((adapter) => others.includes(adapter));
  });
}
