/** A matrix out of a file, row-major, as double-precision numbers. */
export interface StoredMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array | Float32Array; // [rows, columns]
  /** The distance from 1 to the next number of the type that linear algebra takes it in, as NumPy does: what rounding can be. */
  readonly epsilon: number;
}

/** Distances from 1 to the next number, IEEE 754. */
export const EPSILON = { double: 2 ** -52, single: 2 ** -23 } as const;
