// A weight W [out, in] in int8, once for each direction of a training step, and the choices that keep the error small.

/** Codes run from −127 to 127, so that a sign changes nothing. */
const LARGEST_CODE = 127;

/** Enlarges `maxima` [columns] to the largest magnitudes of the columns of more rows. */
export function raiseColumnMaxima(maxima: Float32Array, rows: Float32Array): void {
  const columns = maxima.length;
  for (let at = 0; at < rows.length; at++) {
    const magnitude = Math.abs(rows[at] ?? 0);
    const column = at % columns;
    if (magnitude > (maxima[column] ?? 0)) maxima[column] = magnitude;
  }
}

/**
 * Factors on the channels of an input, max|W|^(1−α) / max|x|^α: they move a share α of a channel's range, in the logarithm, from
 * the input to the weight (Xiao et al. 2022, eq. 4).
 *
 * @param inputMaxima largest magnitudes of the channels of x, as measured [in]
 * @param weightMaxima largest magnitudes of the columns of W [in]
 */
export function smoothingFactors(inputMaxima: Float32Array, weightMaxima: Float32Array, alpha: number): Float32Array<ArrayBuffer> {
  // Channels that were silent in the measurement may speak later: they count as a thousandth of the loudest.
  const floor = (values: Float32Array) => Math.max(1e-30, values.reduce((most, value) => Math.max(most, value), 0) * 1e-3);
  const [inputFloor, weightFloor] = [floor(inputMaxima), floor(weightMaxima)];
  return Float32Array.from(
    inputMaxima,
    (maximum, channel) => Math.max(weightMaxima[channel] ?? 0, weightFloor) ** (1 - alpha) / Math.max(maximum, inputFloor) ** alpha,
  );
}

/** The mean of each channel of x [N, in]. */
export function channelMeans(x: Float32Array, channels: number): Float32Array<ArrayBuffer> {
  const sums = new Float64Array(channels);
  for (let at = 0; at < x.length; at++) sums[at % channels] = (sums[at % channels] ?? 0) + (x[at] ?? 0);
  const rows = Math.max(1, x.length / channels);
  return Float32Array.from(sums, (sum) => sum / rows);
}

/** Where a matrix is encoded row by row. */
export interface Int8Encoder {
  /** [in, out], for x·Wᵀ; a scale for each output. */
  readonly forwardCodes: Int8Array<ArrayBuffer>;
  readonly forwardScales: Float32Array<ArrayBuffer>;
  /** What the rounding of W takes from the product with the mean input [out]; it is added back (Nagel et al. 2019, section 4.2). */
  readonly forwardBias: Float32Array<ArrayBuffer>;
  /** [out, in], for dy·W; a scale for each input. */
  readonly backwardCodes: Int8Array<ArrayBuffer>;
  readonly backwardScales: Float32Array<ArrayBuffer>;
  /** Encodes rows of W, the first of them row `first`. */
  addRows(rows: Float32Array, first: number): void;
}

/**
 * @param input `smooth`, the factors on the channels of x, by which W's columns are divided (zero takes a channel out), and
 *   `mean`, the mean of x, both [in]
 * @param columnMaxima largest magnitudes of the columns of W [in]
 */
export function int8Encoder(
  outputs: number,
  { smooth, mean }: { readonly smooth: Float32Array; readonly mean: Float32Array },
  columnMaxima: Float32Array,
): Int8Encoder {
  const inputs = smooth.length;
  const inverse = smooth.map((factor) => (factor === 0 ? 0 : 1 / factor));
  const forwardCodes = new Int8Array(inputs * outputs);
  const forwardScales = new Float32Array(outputs);
  const forwardBias = new Float32Array(outputs);
  const backwardCodes = new Int8Array(outputs * inputs);
  const backwardScales = columnMaxima.map((maximum) => maximum / LARGEST_CODE);
  const perColumn = backwardScales.map((scale) => (scale === 0 ? 0 : 1 / scale));
  return {
    forwardCodes,
    forwardScales,
    forwardBias,
    backwardCodes,
    backwardScales,
    addRows(rows, first) {
      for (let start = 0, row = first; start < rows.length; start += inputs, row++) {
        let largest = 0;
        for (let i = 0; i < inputs; i++) largest = Math.max(largest, Math.abs((rows[start + i] ?? 0) * (inverse[i] ?? 0)));
        forwardScales[row] = largest / LARGEST_CODE;
        const factor = largest === 0 ? 0 : LARGEST_CODE / largest;
        let bias = 0;
        for (let i = 0; i < inputs; i++) {
          const value = rows[start + i] ?? 0;
          const code = Math.round(value * (inverse[i] ?? 0) * factor);
          forwardCodes[i * outputs + row] = code;
          const channel = smooth[i] ?? 0;
          if (channel !== 0) bias += (mean[i] ?? 0) * (value - (code * channel * largest) / LARGEST_CODE);
          backwardCodes[row * inputs + i] = Math.round(value * (perColumn[i] ?? 0));
        }
        forwardBias[row] = bias;
      }
    },
  };
}

/** Relative errors that rounding brings into a product x·Wᵀ, as root mean squares. */
export interface RoundingErrors {
  /** From rounding x with one scale for all of it, from its smallest value to its largest in 255 steps. */
  readonly tensor: number;
  /** From rounding each row of x with a scale of its own, in 254 steps around zero. */
  readonly row: number;
  /** From rounding W, with a scale for each output. */
  readonly weight: number;
}

/**
 * What rounding x·diag(smooth) and W·diag(1/smooth) to 8 bits costs their product, errors taken as independent.
 *
 * @param x [N, in]
 * @param weights some rows of W [·, in]
 */
export function roundingErrors(x: Float32Array, weights: Float32Array, smooth: Float32Array): RoundingErrors {
  const columns = smooth.length;
  // An error in channel i of the smoothed input reaches the product through the smoothed weight.
  const reach = columnPowers(weights, columns).map((power, channel) => power / (smooth[channel] ?? 1) ** 2);
  const inputPower = columnPowers(x, columns);
  const smoothed = x.map((value, at) => value * (smooth[at % columns] ?? 0));
  const step = (largestOf(smoothed) - smallestOf(smoothed)) / 255 || 1;
  let [tensor, row] = [0, 0];
  for (let start = 0; start < smoothed.length; start += columns) {
    const values = smoothed.subarray(start, start + columns);
    const rowStep = Math.max(1e-30, largestOf(values), -smallestOf(values)) / LARGEST_CODE;
    for (const [channel, value] of values.entries()) {
      tensor += (Math.round(value / step) * step - value) ** 2 * (reach[channel] ?? 0);
      row += (Math.round(value / rowStep) * rowStep - value) ** 2 * (reach[channel] ?? 0);
    }
  }
  let [weight, power] = [0, 0];
  for (let start = 0; start < weights.length; start += columns) {
    let largest = 1e-30;
    for (let i = 0; i < columns; i++) largest = Math.max(largest, Math.abs((weights[start + i] ?? 0) / (smooth[i] ?? 1)));
    for (let i = 0; i < columns; i++) {
      const value = weights[start + i] ?? 0;
      const unit = (largest / LARGEST_CODE) * (smooth[i] ?? 1);
      weight += (Math.round(value / unit) * unit - value) ** 2 * (inputPower[i] ?? 0);
      power += value ** 2 * (inputPower[i] ?? 0);
    }
  }
  const relative = (error: number) => (power === 0 ? 0 : Math.sqrt(error / power));
  return { tensor: relative(tensor), row: relative(row), weight: relative(weight) };
}

/** The sum of the squares of each column. */
function columnPowers(values: Float32Array, columns: number): Float64Array {
  const powers = new Float64Array(columns);
  for (let at = 0; at < values.length; at++) powers[at % columns] = (powers[at % columns] ?? 0) + (values[at] ?? 0) ** 2;
  return powers;
}

const largestOf = (values: Float32Array) => values.reduce((most, value) => Math.max(most, value), 0);
const smallestOf = (values: Float32Array) => values.reduce((least, value) => Math.min(least, value), 0);
