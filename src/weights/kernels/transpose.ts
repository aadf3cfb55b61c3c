/**
 * Some columns of a row-major matrix as rows: out[i·height + j] = values[j·width + from + i].
 *
 * @param values `height` rows of `width`
 * @param out for as many columns as it holds rows of `pitch` values; each row's values go to `at` and behind
 */
export function transposeInto<T extends Uint16Array | Uint32Array | Float32Array>(
  values: T,
  out: T,
  { width, from, at, pitch }: { readonly width: number; readonly from: number; readonly at: number; readonly pitch: number },
): void {
  const height = values.length / width;
  const columns = out.length / pitch;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < columns; column++) out[column * pitch + at + row] = values[row * width + from + column]!;
  }
}

/** The transpose of a row-major matrix of rows of `width` values. */
export function transposed(values: Float32Array, width: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  transposeInto(values, out, { width, from: 0, at: 0, pitch: values.length / width });
  return out;
}
