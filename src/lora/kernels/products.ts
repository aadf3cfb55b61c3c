/** a·b: a [rows, inner], b [inner, columns], row-major, in double precision: [rows, columns]. */
export function product(a: ArrayLike<number>, b: ArrayLike<number>, rows: number, inner: number, columns: number): Float64Array {
  const result = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const out = row * columns;
    for (let i = 0; i < inner; i++) {
      const factor = a[row * inner + i]!;
      const from = i * columns;
      for (let column = 0; column < columns; column++) result[out + column]! += factor * b[from + column]!;
    }
  }
  return result;
}

/** aᵀ·b: a [inner, rows], b [inner, columns], row-major, in double precision: [rows, columns]. */
export function transposedProduct(a: ArrayLike<number>, b: ArrayLike<number>, inner: number, rows: number, columns: number): Float64Array {
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < inner; i++) {
    const from = i * columns;
    for (let row = 0; row < rows; row++) {
      const factor = a[i * rows + row]!;
      const out = row * columns;
      for (let column = 0; column < columns; column++) result[out + column]! += factor * b[from + column]!;
    }
  }
  return result;
}

/** The transpose of a [rows, columns]. */
export function transposed(a: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const result = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = a[row * columns + column]!;
  return result;
}

/**
 * The first `count` columns of Q, [rows, count], in a = QR by Householder's reflections (Golub & Van Loan 2013, algorithm 5.2.1), for
 * a [rows, columns] of which the first `count` columns are read, count ≤ rows. Signs are LAPACK's: R's diagonal has the opposite of the
 * pivot's.
 */
export function orthonormalColumns(a: ArrayLike<number>, rows: number, columns: number, count: number): Float64Array {
  const part = Float64Array.from({ length: count * rows }, (_, at) => a[(at % rows) * columns + Math.floor(at / rows)]!); // by column
  const reflections: Reflection[] = [];
  for (let k = 0; k < count; k++) {
    const column = part.subarray(k * rows, (k + 1) * rows);
    for (const [at, reflection] of reflections.entries()) reflect(column, reflection, at);
    reflections.push(reflectionOf(column, k));
  }
  const q = new Float64Array(rows * count);
  for (let k = 0; k < count; k++) {
    const unit = new Float64Array(rows);
    unit[k] = 1;
    for (let at = count - 1; at >= 0; at--) reflect(unit, reflections[at]!, at);
    for (let row = 0; row < rows; row++) q[row * count + k] = unit[row]!;
  }
  return q;
}

interface Reflection {
  readonly vector: Float64Array;
  readonly factor: number;
}

/** H = I − τ·v·vᵀ that takes what lies from `from` on in a column to a multiple of the unit vector there. */
function reflectionOf(column: Float64Array, from: number): Reflection {
  let below = 0;
  for (let row = from + 1; row < column.length; row++) below += column[row]! ** 2;
  const vector = column.slice();
  if (below === 0) return { vector, factor: 0 }; // LAPACK leaves such a column as it is
  const pivot = column[from]!;
  vector[from] = pivot + (pivot < 0 ? -1 : 1) * Math.sqrt(below + pivot ** 2);
  return { vector, factor: 2 / (below + vector[from]! ** 2) };
}

function reflect(column: Float64Array, { vector, factor }: Reflection, from: number): void {
  let dot = 0;
  for (let row = from; row < column.length; row++) dot += vector[row]! * column[row]!;
  for (let row = from; row < column.length; row++) column[row]! -= factor * dot * vector[row]!;
}
