/**
 * out = W + s·B·A, row by row: W and out [outputs, inputs], A [rank, inputs], B [outputs, rank]. Each row of the change is summed in
 * double precision and added once, so that the only rounding to single precision is that of the result.
 */
export function mergeInto(out: Float32Array, w: Float32Array, a: Float32Array, b: Float32Array, scale: number, rank: number): void {
  const inputs = a.length / rank;
  const outputs = b.length / rank;
  const change = new Float64Array(inputs);
  for (let row = 0; row < outputs; row++) {
    change.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = scale * b[row * rank + r]!;
      if (factor === 0) continue;
      const from = r * inputs;
      for (let column = 0; column < inputs; column++) change[column]! += factor * a[from + column]!;
    }
    const start = row * inputs;
    for (let column = 0; column < inputs; column++) out[start + column] = w[start + column]! + change[column]!;
  }
}
