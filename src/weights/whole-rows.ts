/** Values of a matrix in order, in pieces of any length → pieces of whole rows. */
export async function* wholeRows(values: AsyncIterable<Float32Array>, columns: number): AsyncGenerator<Float32Array> {
  let rest = new Float32Array(0);
  for await (const slab of values) {
    const joined = new Float32Array(rest.length + slab.length);
    joined.set(rest);
    joined.set(slab, rest.length);
    const whole = joined.length - (joined.length % columns);
    if (whole > 0) yield joined.subarray(0, whole);
    rest = joined.slice(whole);
  }
}
