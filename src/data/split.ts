import { Distinct, fingerprintOfText } from "./distinct.js";
import { createRandom } from "./random.js";
import { type Series, select } from "./series.js";

/** 10 % are held out, at least 10 rows and at most 500, and never more than half. */
const share = 0.1;
const fewest = 10;
const most = 500;

/** What a row is held out with. */
interface Keyed {
  readonly prompt: string;
  readonly group?: string;
}

/**
 * Holds out rows for validation, chosen by seed; rows of one group, or else of one prompt, stay together, so that no held-out question
 * was trained on. Both parts keep the file's order. Where all rows are of one group or prompt nothing can be held out.
 *
 * @param fraction how much is held out, up to a half; 10 % (10 to 500 rows) by default
 */
export function splitHeldOut<T extends Keyed>(rows: readonly T[], seed: number, fraction?: number): { train: T[]; heldOut: T[] };
export function splitHeldOut<T extends Keyed>(rows: Series<T>, seed: number, fraction?: number): { train: Series<T>; heldOut: Series<T> };
export function splitHeldOut<T extends Keyed>(rows: Series<T>, seed: number, fraction?: number): { train: Series<T>; heldOut: Series<T> } {
  const groups = groupsOf(rows);
  const half = Math.floor(rows.length / 2);
  const usual = Math.min(most, Math.max(fewest, Math.round(rows.length * share)));
  const target = Math.min(half, fraction === undefined ? usual : Math.max(1, Math.round(rows.length * fraction)));
  const isHeld = chooseGroups(groups, seed, { target, half });
  const part = (held: 0 | 1) => {
    const indexes = new Int32Array(rows.length);
    let count = 0;
    for (const [index, group] of groups.of.entries()) if (isHeld[group] === held) indexes[count++] = index;
    return select(rows, indexes.slice(0, count));
  };
  return { train: part(0), heldOut: part(1) };
}

/** The groups of rows, numbered as they are first met. */
interface Groups {
  /** The group of each row. */
  readonly of: Int32Array;
  readonly sizes: Int32Array;
}

function groupsOf(rows: Series<Keyed>): Groups {
  const keys = new Distinct();
  const of = new Int32Array(rows.length);
  let index = 0;
  for (const { group, prompt } of rows) of[index++] = keys.number(fingerprintOfText(group ?? prompt));
  const sizes = new Int32Array(keys.size);
  for (const group of of) sizes[group] = (sizes[group] ?? 0) + 1;
  return { of, sizes };
}

/** 1 for each group that is held out. */
function chooseGroups({ sizes }: Groups, seed: number, { target, half }: { target: number; half: number }): Uint8Array {
  const order = Array.from(sizes.keys());
  createRandom(seed, "held-out").shuffle(order);
  const isHeld = new Uint8Array(sizes.length);
  const sizeOf = (group: number) => sizes[group] ?? 0;
  let held = 0;
  for (const group of order) {
    if (held + sizeOf(group) > target) continue;
    isHeld[group] = 1;
    held += sizeOf(group);
  }
  if (held > 0) return isHeld;
  // Every group is larger than the target: the smallest goes, if more than half of the rows remain.
  const smallest = order.reduce<number | undefined>(
    (least, group) => (least === undefined || sizeOf(group) < sizeOf(least) ? group : least),
    undefined,
  );
  if (smallest !== undefined && sizeOf(smallest) <= half) isHeld[smallest] = 1;
  return isHeld;
}
