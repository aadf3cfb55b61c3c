/**
 * Fills a table with uniforms in [0, 1) of 24 bits. Each value is a hash of its index and the key (Salmon et al. 2011,
 * "Parallel random numbers: as easy as 1, 2, 3": counters through a mixing function), so that the table of a step is
 * known from (seed, step) alone. The mixing is the 32-bit finaliser of MurmurHash3, applied twice.
 */
export function fillUniforms(table: Float32Array, key: number): void {
  for (let index = 0; index < table.length; index++) {
    table[index] = (mix(mix(index ^ key) + key) >>> 8) * 2 ** -24;
  }
}

/** A bijection of 32-bit numbers that changes half of the bits for every bit changed. */
export function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
