/** Pearson's correlation of two lists, −1 to 1; NaN where one of them is constant or has fewer than two values. */
export function pearson(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [x, y] = [centred(a), centred(b)];
  const [dx, dy] = [lengthOf(x), lengthOf(y)];
  if (x.length < 2 || isConstant(a) || isConstant(b)) return Number.NaN;
  const product = x.reduce((sum, value, i) => sum + (value / dx) * ((y[i] ?? 0) / dy), 0);
  return Math.max(-1, Math.min(1, product)); // rounding may lead out of the interval
}

/** Spearman's rank correlation: Pearson's of the ranks, where equal values share the mean of their ranks (Kendall 1945). */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return pearson(ranks(a), ranks(b));
}

/** Ranks from 1, equal values with the mean of theirs. */
export function ranks(values: ArrayLike<number>): number[] {
  const order = Array.from({ length: values.length }, (_, index) => index).sort((i, j) => (values[i] ?? 0) - (values[j] ?? 0));
  const found = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end] ?? 0] === values[order[start] ?? 0]) end++;
    for (const index of order.slice(start, end)) found[index] = (start + 1 + end) / 2;
    start = end;
  }
  return found;
}

function centred(values: ArrayLike<number>): number[] {
  const list = Array.from(values);
  const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
  return list.map((value) => value - mean);
}

/** √Σx², without a call of as many arguments, and without overflow. */
const lengthOf = (values: readonly number[]): number => values.reduce((length, value) => Math.hypot(length, value), 0);

const isConstant = (values: ArrayLike<number>): boolean => Array.from(values).every((value) => value === values[0]);
