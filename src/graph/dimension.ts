/**
 * One extent of a shape: a number, or a product of symbols that is known when a program runs, such as `"batch"` or
 * `"batch*tokens"`. Products are canonical (number first, symbols sorted), so equal extents are equal strings.
 */
export type Dimension = number | string;

export type Shape = readonly Dimension[];

/** Values of the symbols of one run: `batch → 4`, `tokens → 256`. */
export type Bindings = ReadonlyMap<string, number>;

/** The canonical product of extents. */
export function product(...dimensions: Shape): Dimension {
  let count = 1;
  const symbols: string[] = [];
  for (const dimension of dimensions) {
    for (const factor of String(dimension).split("*")) {
      const value = Number(factor);
      if (Number.isNaN(value)) symbols.push(factor);
      else count *= value;
    }
  }
  if (symbols.length === 0 || count === 0) return count;
  symbols.sort();
  return count === 1 ? symbols.join("*") : `${count}*${symbols.join("*")}`;
}

/** The extent under these bindings; throws when a symbol has no value. */
export function evaluate(dimension: Dimension, bindings: Bindings): number {
  if (typeof dimension === "number") return dimension;
  let value = 1;
  for (const factor of dimension.split("*")) {
    const count = Number(factor);
    const bound = Number.isNaN(count) ? bindings.get(factor) : count;
    if (bound === undefined) throw new Error(`the dimension "${factor}" has no value in this run`);
    value *= bound;
  }
  return value;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dimension, axis) => dimension === b[axis]);
}

/** The shape that NumPy's broadcasting gives; throws where two extents differ and neither is 1. */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    throw new Error(`shapes [${a.join(", ")}] and [${b.join(", ")}] do not broadcast`);
  });
}
