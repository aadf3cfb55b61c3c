/** Lengths and numbers of rows are padded to multiples of this, which every number of chunks divides. */
const MOST_CHUNKS = 8;

/** Into how many chunks of about `size` a count of up to `most` is divided: a power of two. */
export function chunksOf(most: number, size: number): number {
  let chunks = 1;
  while (chunks < MOST_CHUNKS && most / chunks > size) chunks *= 2;
  return chunks;
}
