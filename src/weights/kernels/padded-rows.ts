/** Rows of `from` values as rows of `to`: longer ones end in zeros, shorter ones lose their ends. */
export function paddedRows(values: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return values;
  const padded = new Float32Array((values.length / from) * to);
  const kept = Math.min(from, to);
  for (let row = 0; row < values.length / from; row++) padded.set(values.subarray(row * from, row * from + kept), row * to);
  return padded;
}
