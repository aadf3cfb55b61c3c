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

/** Of each channel of an input, [in]. */
export interface ChannelMoments {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** The moments of the channels of x [N, in]. */
export function channelMoments(x: Float32Array, channels: number): ChannelMoments {
  const rows = Math.max(1, x.length / channels);
  const mean = new Float64Array(channels);
  for (let at = 0; at < x.length; at++) mean[at % channels] = (mean[at % channels] ?? 0) + (x[at] ?? 0) / rows;
  const variance = columnPowers(x, channels).map((power, channel) => Math.max(0, power / rows - (mean[channel] ?? 0) ** 2));
  return { mean, variance };
}

/** A matrix W [out, in] that is encoded as its rows are read. */
export interface Int8Encoder {
  readonly codes: Int8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
  /** Encodes rows of W, the first of them row `first`. */
  addRows(rows: Float32Array, first: number): void;
}

/**
 * W for x·Wᵀ: codes [in, out], a scale for each output [out].
 *
 * @param smooth factors on the channels of x, by which W's columns are divided [in]
 * @param moments of x: what rounding takes from the product with the mean is kept small
 */
export function forwardEncoder(outputs: number, smooth: Float32Array, { mean, variance }: ChannelMoments): Int8Encoder {
  const inputs = smooth.length;
  const codes = new Int8Array(inputs * outputs);
  const scales = new Float32Array(outputs);
  // What a step of a channel's code changes in the product, in scales.
  const reach = mean.map((value, channel) => value * (smooth[channel] ?? 0));
  const noise = variance.map((value, channel) => value * (smooth[channel] ?? 0) ** 2);
  const row = { exact: new Float64Array(inputs), codes: new Float64Array(inputs) };
  return {
    codes,
    scales,
    addRows(rows, first) {
      for (let start = 0, output = first; start < rows.length; start += inputs, output++) {
        let largest = 0;
        for (let i = 0; i < inputs; i++) largest = Math.max(largest, Math.abs((rows[start + i] ?? 0) / (smooth[i] ?? 1)));
        scales[output] = largest / LARGEST_CODE;
        const factor = largest === 0 ? 0 : LARGEST_CODE / largest;
        for (let i = 0; i < inputs; i++) {
          row.exact[i] = ((rows[start + i] ?? 0) / (smooth[i] ?? 1)) * factor;
          row.codes[i] = Math.round(row.exact[i] ?? 0);
        }
        balance(row.codes, row.exact, reach, noise);
        for (let i = 0; i < inputs; i++) codes[i * outputs + output] = row.codes[i] ?? 0;
      }
    },
  };
}

/**
 * A constant in an output counts as this many times its square: it is the same in all rows, and adds up where noise averages out.
 * With 1 in place of 16, losses and gradients of SmolLM2-135M were further from float32's.
 */
const COHERENCE = 16;

/**
 * Rounds some values the other way, those near the middle of two codes first, where that makes the error of the product smaller:
 * its square is COHERENCE·(Σ reach·off)² + Σ noise·off², off = exact − code. To the nearest, the first sum adds a constant to
 * every product (Nagel et al. 2019, section 4.2); balanced, it is nearly nothing, and needs no correction when the model runs.
 */
function balance(codes: Float64Array, exact: Float64Array, reach: Float64Array, noise: Float64Array): void {
  let bias = 0;
  for (let i = 0; i < codes.length; i++) bias += (reach[i] ?? 0) * ((exact[i] ?? 0) - (codes[i] ?? 0));
  for (const least of [0.4, 0.3, 0.2, 0.1, 0]) {
    for (let i = 0; i < codes.length; i++) {
      const off = (exact[i] ?? 0) - (codes[i] ?? 0);
      if (Math.abs(off) <= least || Math.abs(off) > 0.5) continue; // beyond a half, it was rounded the other way already
      const change = Math.sign(off) * (reach[i] ?? 0);
      const gained = COHERENCE * (2 * bias - change) * change; // bias² − (bias − change)²
      const lost = (1 - 2 * Math.abs(off)) * (noise[i] ?? 0); // (1 − |off|)² − off², in noise
      if (gained <= lost) continue;
      codes[i] = (codes[i] ?? 0) + Math.sign(off);
      bias -= change;
    }
  }
}

/**
 * W for ȳ·W: codes [out, in], a scale for each input [in].
 *
 * @param columnMaxima largest magnitudes of the columns of W [in]
 */
export function backwardEncoder(outputs: number, columnMaxima: Float32Array): Int8Encoder {
  const inputs = columnMaxima.length;
  const codes = new Int8Array(outputs * inputs);
  const scales = Float32Array.from(columnMaxima, (maximum) => maximum / LARGEST_CODE);
  const inverse = scales.map((scale) => (scale === 0 ? 0 : 1 / scale));
  return {
    codes,
    scales,
    addRows(rows, first) {
      for (let at = 0; at < rows.length; at++) codes[first * inputs + at] = Math.round((rows[at] ?? 0) * (inverse[at % inputs] ?? 0));
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
