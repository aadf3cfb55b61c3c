// The scale of a block, and its minimum, that least squares finds: weights are rounded to numbers by a first guess of the scale, the scale
// that fits these numbers best is solved for, and they are rounded again by it. Of several first guesses the best is kept.

/** What is found for one block. */
export interface FittedBlock {
  scale: number;
  minimum: number;
}

/** Times that numbers are rounded anew by the scale that fitted the last ones. */
const REFITS = 2;
/**
 * First guesses: as many steps more or fewer than there are numbers for the block's range, from its smallest weight or from a part of a step
 * below it, which suits a block with one weight far off.
 */
const FIRST_GUESSES = [
  [-2, 0],
  [-0.9, 0],
  [-0.4, 0],
  [0, 0],
  [0.4, 0],
  [0.9, 0],
  [1.6, 0],
  [0, 0.5],
] as const;

/**
 * Fits y ≈ scale·q + minimum with q in 0 … largest and minimum ≤ 0, to `count` weights from `from` on.
 *
 * @param codes of at least `count`; scratch
 */
export function fitAboveMinimum(
  values: Float32Array,
  from: number,
  count: number,
  largest: number,
  codes: Int8Array,
  out: FittedBlock,
): void {
  let [least, most] = [0, values[from]!]; // no minimum is above zero
  for (let i = 0; i < count; i++) {
    least = Math.min(least, values[from + i]!);
    most = Math.max(most, values[from + i]!);
  }
  out.scale = 0;
  out.minimum = least;
  if (most === least) return;
  let best = Number.POSITIVE_INFINITY;
  for (const [steps, below] of FIRST_GUESSES) {
    let scale = (most - least) / (largest + steps);
    let minimum = least - below * scale;
    for (let refit = 0; ; refit++) {
      const [error, nextScale, nextMinimum] = refitAbove(values, from, count, largest, codes, scale, minimum);
      if (error < best) {
        best = error;
        out.scale = scale;
        out.minimum = minimum;
      }
      if (refit === REFITS || !(nextScale > 0)) break;
      [scale, minimum] = [nextScale, nextMinimum];
    }
  }
}

/** The squared error of rounding by a scale and a minimum, and those that fit the rounded numbers best. */
function refitAbove(
  values: Float32Array,
  from: number,
  count: number,
  largest: number,
  codes: Int8Array,
  scale: number,
  minimum: number,
): [error: number, scale: number, minimum: number] {
  let [error, sumQ, sumQQ, sumY, sumQY] = [0, 0, 0, 0, 0];
  for (let i = 0; i < count; i++) {
    const value = values[from + i]!;
    const code = Math.max(0, Math.min(largest, Math.round((value - minimum) / scale)));
    codes[i] = code;
    error += (value - scale * code - minimum) ** 2;
    sumQ += code;
    sumQQ += code * code;
    sumY += value;
    sumQY += code * value;
  }
  const determinant = count * sumQQ - sumQ * sumQ;
  if (determinant <= 0) return [error, 0, 0];
  const fitted = (sumY * sumQQ - sumQ * sumQY) / determinant;
  if (fitted > 0) return [error, sumQY / sumQQ, 0];
  return [error, (count * sumQY - sumQ * sumY) / determinant, fitted];
}

/** First guesses of a scale about zero: the weight furthest from zero becomes so large a number. */
const FURTHEST = [-33.2, -32.6, -32, -31.4, -30.8, -30.2, 31.8, 31.2, 30.6] as const;

/** The scale, of either sign, of y ≈ scale·q with q in −32 … 31, for `count` weights from `from` on. */
export function fitAboutZero(values: Float32Array, from: number, count: number): number {
  let furthest = 0;
  for (let i = 0; i < count; i++) if (Math.abs(values[from + i]!) > Math.abs(furthest)) furthest = values[from + i]!;
  if (furthest === 0) return 0;
  let [best, found] = [Number.NEGATIVE_INFINITY, 0];
  for (const size of FURTHEST) {
    let scale = furthest / size;
    for (let refit = 0; refit < REFITS; refit++) {
      let [sumQQ, sumQY] = [0, 0];
      for (let i = 0; i < count; i++) {
        const code = Math.max(-32, Math.min(31, Math.round(values[from + i]! / scale)));
        sumQQ += code * code;
        sumQY += code * values[from + i]!;
      }
      if (sumQQ === 0) break;
      scale = sumQY / sumQQ;
      const gained = sumQY * scale; // ‖y‖² less the squared error of these numbers with that scale
      if (gained > best) [best, found] = [gained, scale];
      if (scale === 0) break;
    }
  }
  return found;
}
