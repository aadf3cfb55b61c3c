// A weight W [out, in] in 8 bits as answers read it: with a scale for each output, or in blocks of 32 as GGUF's Q8_0 has them.

/** Codes run from −127 to 127, so that a sign changes nothing. */
const LARGEST_CODE = 127;
/** Weights of a row that share a scale, where they are stored in blocks. */
export const BLOCK = 32;
/** What the engine takes from a code of a block: its type has no sign. */
const BLOCK_ZERO = 128;

/** Layers that read one input, side by side: what the rows of their weights become. */
export interface StackedCodes {
  /** [in, out], so that a product reads them as they lie. */
  readonly codes: Int8Array<ArrayBuffer>;
  /** What a code is worth, for each output. */
  readonly scales: Float32Array<ArrayBuffer>;
  /** Each output's codes, summed and scaled: what an input of ones would give. */
  readonly sums: Float32Array<ArrayBuffer>;
}

/** Room for `outputs` rows of `inputs` weights. */
export function stackedCodes(inputs: number, outputs: number): StackedCodes {
  return {
    codes: new Int8Array(inputs * outputs),
    scales: new Float32Array(outputs),
    sums: new Float32Array(outputs),
  };
}

/**
 * Encodes rows of W, the first of them as output `first`.
 *
 * @param smooth factors on the channels of x [in], by which W's columns are divided
 */
export function encodeRows({ codes, scales, sums }: StackedCodes, rows: Float32Array, first: number, smooth: Float32Array): void {
  const [inputs, outputs] = [smooth.length, scales.length];
  const divided = new Float32Array(inputs);
  for (let start = 0, output = first; start < rows.length; start += inputs, output++) {
    let largest = 0;
    for (let i = 0; i < inputs; i++) {
      divided[i] = rows[start + i]! / smooth[i]!;
      largest = Math.max(largest, Math.abs(divided[i]!));
    }
    const scale = Math.fround(largest / LARGEST_CODE);
    let sum = 0;
    for (let i = 0; i < inputs; i++) {
      const code = scale === 0 ? 0 : Math.round(divided[i]! / scale);
      codes[i * outputs + output] = code;
      sum += code;
    }
    scales[output] = scale;
    sums[output] = sum * scale;
  }
}

/** The values of some of the rows that were encoded with such smoothing: [count, in]. */
export function decodeRows({ codes, scales }: StackedCodes, first: number, count: number, smooth: Float32Array): Float32Array<ArrayBuffer> {
  const outputs = scales.length;
  const inputs = codes.length / outputs;
  const values = new Float32Array(count * inputs);
  for (let row = 0; row < count; row++) {
    for (let i = 0; i < inputs; i++) {
      values[row * inputs + i] = scales[first + row]! * codes[i * outputs + first + row]! * smooth[i]!;
    }
  }
  return values;
}

/** The values of blocks. */
export function decodeBlocks({ codes, scales }: ReturnType<typeof encodeBlocks>): Float32Array<ArrayBuffer> {
  return Float32Array.from(codes, (code, at) => scales[Math.floor(at / BLOCK)]! * (code - BLOCK_ZERO));
}

/** Codes of blocks, with 128 added, and their scales. A weight that was stored in Q8_0 keeps its codes. */
export function encodeBlocks(values: Float32Array): {
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
} {
  const codes = new Uint8Array(values.length);
  const scales = new Float32Array(values.length / BLOCK);
  for (const block of scales.keys()) {
    const start = block * BLOCK;
    let largest = 0;
    for (let i = 0; i < BLOCK; i++) largest = Math.max(largest, Math.abs(values[start + i]!));
    const scale = Math.fround(largest / LARGEST_CODE);
    scales[block] = scale;
    for (let i = 0; i < BLOCK; i++) codes[start + i] = BLOCK_ZERO + (scale === 0 ? 0 : Math.round(values[start + i]! / scale));
  }
  return { codes, scales };
}

/**
 * How far rounding the rows of x·diag(smooth) to 256 steps each, from their smallest value to their largest, moves the product
 * with W: the root mean square of the error beside that of the product, errors of channels taken as independent.
 *
 * @param x [N, in]
 * @param weights some rows of W [·, in]
 */
export function rowRoundingError(x: Float32Array, weights: Float32Array, smooth: Float32Array): number {
  const inputs = smooth.length;
  const power = new Float64Array(inputs); // of W's columns
  for (let at = 0; at < weights.length; at++) power[at % inputs]! += weights[at]! ** 2;
  let [error, whole] = [0, 0];
  for (let start = 0; start < x.length; start += inputs) {
    let [least, most] = [0, 1e-30];
    for (let i = 0; i < inputs; i++) {
      const value = x[start + i]! * smooth[i]!;
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
    const step = (most - least) / 255;
    for (let i = 0; i < inputs; i++) {
      const value = x[start + i]! * smooth[i]!;
      error += ((Math.round(value / step) * step - value) / smooth[i]!) ** 2 * power[i]!;
      whole += x[start + i]! ** 2 * power[i]!;
    }
  }
  return whole === 0 ? 0 : Math.sqrt(error / whole);
}
