import type { Blocks } from "./blocks.js";

/** The whole numbers that values fall on by the scales and minimums of their blocks, y = d·q + m; 0 where that is none. */
export function predictedCodes(
  values: Float32Array,
  { scales, minimums }: Blocks,
  size: number,
  [least, most]: readonly [number, number],
): Int8Array {
  const codes = new Int8Array(values.length);
  for (let block = 0, at = 0; block < scales.length; block++) {
    const inverse = 1 / scales[block]!;
    const minimum = minimums[block] ?? 0;
    for (const end = at + size; at < end; at++) {
      const code = Math.round((values[at]! - minimum) * inverse);
      codes[at] = code >= least && code <= most ? code : code > most ? most : code < least ? least : 0;
    }
  }
  return codes;
}
