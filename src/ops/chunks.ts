/** Lengths are padded to multiples of this, which every number of their chunks divides. */
const MOST_CHUNKS = 8;

/** Into how many chunks of about `size`, at most `limit`, a count of up to `most` is divided: a power of two. */
export function chunksOf(most: number, size: number, limit = MOST_CHUNKS): number {
  let chunks = 1;
  while (chunks < limit && most / chunks > size) chunks *= 2;
  return chunks;
}
