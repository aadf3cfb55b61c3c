// The row order that llama.cpp's converter gives q and k of some architectures: in each head the stored rows are 0, D/2, 1, D/2+1, …
// (`reshape(heads, 2, D/2, …).swapaxes(1, 2)`), so that rotary pairs are neighbours; Hugging Face pairs row i with row i + D/2. A row
// is whole blocks, so that its bytes move as they are.

/** Bytes of interleaved rows in Hugging Face's order. */
export function deinterleaveHeads(stored: Uint8Array, heads: number, headSize: number): Uint8Array {
  return moveRows(stored, heads, headSize, (out, row, interleaved) => out.set(interleaved.of(stored), row.at));
}

/** Bytes of rows in Hugging Face's order, interleaved. */
export function interleaveHeads(rows: Uint8Array, heads: number, headSize: number): Uint8Array {
  return moveRows(rows, heads, headSize, (out, row, interleaved) => out.set(row.of(rows), interleaved.at));
}

/** Where a row lies, in bytes. */
interface Row {
  readonly at: number;
  of(bytes: Uint8Array): Uint8Array;
}

/** Calls `move` with the two places of every row. */
function moveRows(
  bytes: Uint8Array,
  heads: number,
  headSize: number,
  move: (out: Uint8Array, row: Row, interleaved: Row) => void,
): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const width = bytes.length / (heads * headSize);
  const half = headSize / 2;
  const row = (index: number): Row => ({ at: index * width, of: (all) => all.subarray(index * width, (index + 1) * width) });
  for (let head = 0; head < heads; head++) {
    for (let pair = 0; pair < half; pair++) {
      for (let side = 0; side < 2; side++) move(out, row(head * headSize + side * half + pair), row(head * headSize + 2 * pair + side));
    }
  }
  return out;
}
