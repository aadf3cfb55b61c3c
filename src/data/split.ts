import { createRandom } from "./random.js";

/** 10 % are held out, at least 10 rows and at most 500, and never more than half. */
const share = 0.1;
const fewest = 10;
const most = 500;

/**
 * Holds out rows for validation, chosen by seed; rows of one group, or else of one prompt, stay together, so that no held-out question
 * was trained on. Both parts keep the file's order. Where all rows are of one group or prompt nothing can be held out.
 *
 * @param fraction how much is held out, up to a half; 10 % (10 to 500 rows) by default
 */
export function splitHeldOut<T extends { readonly prompt: string; readonly group?: string }>(
  rows: readonly T[],
  seed: number,
  fraction?: number,
): { train: T[]; heldOut: T[] } {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = row.group ?? row.prompt;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  const half = Math.floor(rows.length / 2);
  const usual = Math.min(most, Math.max(fewest, Math.round(rows.length * share)));
  const target = Math.min(half, fraction === undefined ? usual : Math.max(1, Math.round(rows.length * fraction)));
  const order = [...groups.values()];
  createRandom(seed, "held-out").shuffle(order);
  const held = new Set<T>();
  for (const group of order) {
    if (held.size + group.length <= target) for (const row of group) held.add(row);
  }
  if (held.size === 0) {
    // Every group is larger than the target: the smallest goes, if more than half of the rows remain.
    const smallest = order.reduce<T[] | undefined>(
      (least, group) => (least === undefined || group.length < least.length ? group : least),
      undefined,
    );
    if (smallest !== undefined && smallest.length <= half) for (const row of smallest) held.add(row);
  }
  return { train: rows.filter((row) => !held.has(row)), heldOut: rows.filter((row) => held.has(row)) };
}
