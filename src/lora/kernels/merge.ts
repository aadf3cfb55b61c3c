interface Change {
  readonly a: Float32Array; // [rank, inputs]
  readonly b: Float32Array; // [outputs, rank]
  readonly scale: number;
  readonly rank: number;
  /** A factor for each row of W, [outputs]. */
  readonly gain?: Float32Array | undefined;
}

/**
 * out = gain ⊙ W + s·B·A, row by row: W and out [outputs, inputs]. Each row of the change is summed in double precision and added once,
 * so that the only rounding to single precision is that of the result.
 */
export function mergeInto(out: Float32Array, w: Float32Array, { a, b, scale, rank, gain }: Change): void {
  const inputs = a.length / rank;
  const outputs = b.length / rank;
  const change = new Float64Array(inputs);
  for (let row = 0; row < outputs; row++) {
    changeOfRow(change, row, { a, b, scale, rank });
    const start = row * inputs;
    const own = gain === undefined ? 1 : gain[row]!;
    for (let column = 0; column < inputs; column++) out[start + column] = own * w[start + column]! + change[column]!;
  }
}

/**
 * The W of which `mergeInto` makes a W', out = (W' − s·B·A) ⊘ gain, but for what its rounding took: W' and out [outputs, inputs]. The
 * change is summed as it is there.
 */
export function unmergeInto(out: Float32Array, merged: Float32Array, { a, b, scale, rank, gain }: Change): void {
  const inputs = a.length / rank;
  const outputs = b.length / rank;
  const change = new Float64Array(inputs);
  for (let row = 0; row < outputs; row++) {
    changeOfRow(change, row, { a, b, scale, rank });
    const start = row * inputs;
    const own = gain === undefined ? 1 : gain[row]!;
    for (let column = 0; column < inputs; column++) out[start + column] = (merged[start + column]! - change[column]!) / own;
  }
}

/** A row of s·B·A, in double precision. */
function changeOfRow(change: Float64Array, row: number, { a, b, scale, rank }: Change): void {
  const inputs = change.length;
  change.fill(0);
  for (let r = 0; r < rank; r++) {
    const factor = scale * b[row * rank + r]!;
    if (factor === 0) continue;
    const from = r * inputs;
    for (let column = 0; column < inputs; column++) change[column]! += factor * a[from + column]!;
  }
}

/** ‖w‖² of each of the rows of a matrix. */
export function rowSquares(matrix: Float32Array, rows: number): Float64Array {
  const columns = matrix.length / rows;
  const squares = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) squares[row]! += matrix[row * columns + column]! ** 2;
  }
  return squares;
}
