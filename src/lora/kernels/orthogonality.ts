/**
 * ‖P·Pᵀ − I‖ (Frobenius) of a P [rows, columns] given by its place: element (i, j) is at i·rowStep + j·columnStep. Adds `weight` times its
 * gradient, 2·(P·Pᵀ − I)·P / ‖P·Pᵀ − I‖, to `gradient` at the same places; nothing where the norm is zero.
 */
export function addOrthogonality(
  p: Float32Array,
  gradient: Float32Array,
  { rows, columns, rowStep, columnStep }: { rows: number; columns: number; rowStep: number; columnStep: number },
  weight: number,
): number {
  const rest = new Float64Array(rows * rows); // P·Pᵀ − I
  let squares = 0;
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k <= i; k++) {
      let sum = i === k ? -1 : 0;
      for (let j = 0; j < columns; j++) sum += p[i * rowStep + j * columnStep]! * p[k * rowStep + j * columnStep]!;
      rest[i * rows + k] = sum;
      rest[k * rows + i] = sum;
      squares += (i === k ? 1 : 2) * sum * sum;
    }
  }
  const norm = Math.sqrt(squares);
  if (norm === 0) return 0;
  const factor = (2 * weight) / norm;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < rows; k++) sum += rest[i * rows + k]! * p[k * rowStep + j * columnStep]!;
      gradient[i * rowStep + j * columnStep]! += factor * sum;
    }
  }
  return norm;
}
