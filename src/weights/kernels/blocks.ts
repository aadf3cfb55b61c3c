// Weights in blocks: whole numbers q with a scale d, and for some types a minimum m, for each block; y = d·q + m.

const fround = Math.fround;

/** Unpacked blocks: a number for each weight, a scale and, where the type has minimums, a minimum for each block. */
export interface Blocks {
  readonly codes: Int8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
  readonly minimums: Float32Array<ArrayBuffer>;
}

/** Zeroed memory for `count` weights in blocks of `size`. */
export function emptyBlocks(count: number, size: number, hasMinimums: boolean): Blocks {
  return {
    codes: new Int8Array(count),
    scales: new Float32Array(count / size),
    minimums: new Float32Array(hasMinimums ? count / size : 0),
  };
}

/** Their values. The product is rounded to float32 before the minimum is added, as in the GGUF package: equal bit for bit. */
export function blocksToFloat({ codes, scales, minimums }: Blocks, size: number, out: Float32Array): void {
  for (let block = 0, at = 0; block < scales.length; block++) {
    const scale = scales[block]!;
    const minimum = minimums[block];
    if (minimum === undefined) for (const end = at + size; at < end; at++) out[at] = scale * codes[at]!;
    else for (const end = at + size; at < end; at++) out[at] = fround(scale * codes[at]!) + minimum;
  }
}

/** Two numbers to a byte, the first in the low half: ONNX's int4 and uint4. */
export function packNibbles(codes: Int8Array): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(codes.length / 2);
  for (let at = 0; at < packed.length; at++) packed[at] = (codes[2 * at]! & 15) | ((codes[2 * at + 1]! & 15) << 4);
  return packed;
}

/** Rounds after the first, each with the scale and minimum that fit the numbers best. More gain little. */
const REFITS = 2;
const LARGEST = 15;

/**
 * Rounds weights to sixteen steps between each block's smallest and largest, then fits scale and minimum to the rounded
 * numbers by least squares and rounds again. Of normal weights in blocks of 32, 7.3 % is lost (root mean square), where
 * GGUF's Q4_1, which does the first step alone, loses 7.8 %.
 */
export function roundToBlocks(values: Float32Array, size: number): Blocks {
  const blocks = emptyBlocks(values.length, size, true);
  for (let block = 0; block < blocks.scales.length; block++) {
    const [from, end] = [block * size, (block + 1) * size];
    let [least, most] = [values[from]!, values[from]!];
    for (let at = from + 1; at < end; at++) {
      least = Math.min(least, values[at]!);
      most = Math.max(most, values[at]!);
    }
    setBlock(blocks, block, (most - least) / LARGEST, least);
    roundBlock(values, blocks, block, size);
    for (let refit = 0; refit < REFITS; refit++) {
      if (!fitBlock(values, blocks, block, size)) break;
      roundBlock(values, blocks, block, size);
    }
  }
  return blocks;
}

/** Times that numbers are rounded again before they are settled; hardly any take more than two. */
const SETTLING = 8;
/** Changes of a value that are none but of its last bits. */
const SETTLED = 1e-5;

/**
 * The values that `roundToBlocks` gives weights, rounded again until rounding leaves them alone but for their last bits: fitted scales may
 * leave a block's largest or smallest step unused, and the next time the steps are others.
 */
export function settledBlocks(values: Float32Array, size: number): Float32Array<ArrayBuffer> {
  let [from, to] = [values, new Float32Array(values.length)];
  for (let time = 0; time < SETTLING; time++) {
    const blocks = roundToBlocks(from, size);
    to = new Float32Array(values.length);
    blocksToFloat(blocks, size, to);
    const { scales } = blocks;
    if (to.every((value, at) => Math.abs(value - from[at]!) <= SETTLED * Math.abs(scales[Math.floor(at / size)]!))) break;
    from = to;
  }
  return to;
}

function setBlock({ scales, minimums }: Blocks, block: number, scale: number, minimum: number): void {
  scales[block] = scale;
  minimums[block] = minimum;
}

function roundBlock(values: Float32Array, { codes, scales, minimums }: Blocks, block: number, size: number): void {
  const steps = scales[block] === 0 ? 0 : 1 / scales[block]!;
  const minimum = minimums[block]!;
  for (let at = block * size; at < (block + 1) * size; at++) {
    codes[at] = Math.max(0, Math.min(LARGEST, Math.round((values[at]! - minimum) * steps)));
  }
}

/** Sets the scale and minimum with the least squared error for a block's numbers; false where all of them are equal. */
function fitBlock(values: Float32Array, blocks: Blocks, block: number, size: number): boolean {
  const { codes } = blocks;
  let [sumOfCodes, sum, squares, products] = [0, 0, 0, 0];
  for (let at = block * size; at < (block + 1) * size; at++) {
    const [code, value] = [codes[at]!, values[at]!];
    sumOfCodes += code;
    sum += value;
    squares += code * code;
    products += code * value;
  }
  const spread = size * squares - sumOfCodes * sumOfCodes;
  if (spread === 0) return false;
  const scale = (size * products - sumOfCodes * sum) / spread;
  setBlock(blocks, block, scale, (sum - scale * sumOfCodes) / size);
  return true;
}

/** Rounds weights to 255 steps between each block's largest magnitude and its negative, as GGUF's Q8_0 does. */
export function roundToBytes(values: Float32Array, size: number): Blocks {
  const blocks = emptyBlocks(values.length, size, false);
  for (let block = 0; block < blocks.scales.length; block++) {
    let largest = 0;
    for (let at = block * size; at < (block + 1) * size; at++) largest = Math.max(largest, Math.abs(values[at]!));
    blocks.scales[block] = largest / 127;
    const steps = largest === 0 ? 0 : 127 / largest;
    for (let at = block * size; at < (block + 1) * size; at++) blocks.codes[at] = Math.round(values[at]! * steps);
  }
  return blocks;
}
