/** The smallest bucket, in tokens. */
const smallestBucket = 8;

/**
 * Rounds a count of tokens up to its bucket: multiples of a sixteenth of the next power of two, of 8 at least (8, 16, …, 128,
 * 144, …, 256, 288, …). Equal shapes let the engine's arena use the memory of earlier steps again; steps that grow with the
 * length keep the padding under an eighth of any batch beyond 64 tokens, a sixteenth on average. The same rule serves the
 * length T and the number of supervised places S.
 */
export function bucketOf(count: number): number {
  let power = smallestBucket;
  while (power < count) power *= 2;
  const step = Math.max(smallestBucket, power / 16);
  return Math.max(smallestBucket, Math.ceil(count / step) * step);
}

/** Rows of several examples may be this long though no example is: attention computes so many queries in one piece. */
const SHORT_ROW = 128;

/** Tokens of the longest of some texts, of which there may be more than a call takes arguments; 0 of none. */
export const longestOf = (texts: readonly { readonly ids: { readonly length: number } }[]): number =>
  texts.reduce((longest, { ids }) => Math.max(longest, ids.length), 0);

/** The length of the longest row of batches whose examples have up to `longest` tokens. */
export const longestRow = (longest: number): number => Math.max(bucketOf(longest), SHORT_ROW);

/**
 * Tokens of a row at which each of them costs twice what it costs in a very short one, because of attention to those before it.
 * Measured on a training step of SmolLM2-135M, 384 tokens in rows of 48 to 384, two cores: 1200 in fp32, 900 in int8. In wider
 * models attention weighs less; the best layout is then a little longer, and this one a few percent dearer at most.
 */
const DOUBLING_LENGTH = 1000;

/** Examples in rows of T tokens. */
export interface PackedRows {
  /** T, a bucket. */
  readonly tokens: number;
  /** For each row the indexes of its examples, in their order from its first token on. */
  readonly rows: readonly (readonly number[])[];
}

/**
 * Lays examples into the rows that cost least: those of one example each, or longer ones that several share. For each length of
 * row, examples go from the longest to the shortest into the fullest row that has room (best fit decreasing: Johnson et al.
 * 1974), and the cheapest length is taken. It is a function of the lengths alone.
 *
 * @param lengths tokens of each example; one of 0 is in no row
 */
export function packRows(lengths: readonly number[]): PackedRows {
  const order = lengths.map((_, index) => index).filter((index) => lengthAt(lengths, index) > 0);
  order.sort((a, b) => lengthAt(lengths, b) - lengthAt(lengths, a) || a - b);
  const longest = lengthAt(lengths, order[0]);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let best: PackedRows = { tokens: bucketOf(longest), rows: order.map((index) => [index]) };
  if (order.length === 0) return { ...best, rows: [[]] };
  for (let tokens = best.tokens; tokens <= longestRow(longest); tokens = bucketOf(tokens + 1)) {
    if (costOf(total, tokens) >= layoutCost(best)) break; // no longer row can be cheaper, be it filled to the last token
    const packed = { tokens, rows: bestFit(order, lengths, tokens) };
    if (layoutCost(packed) < layoutCost(best)) best = packed;
  }
  return best;
}

/** What a layout costs, in tokens of very short rows. */
export const layoutCost = ({ tokens, rows }: PackedRows): number => costOf(rows.length * tokens, tokens);

const costOf = (elements: number, tokens: number): number => elements * (1 + tokens / DOUBLING_LENGTH);

function bestFit(order: readonly number[], lengths: readonly number[], tokens: number): number[][] {
  const rows: { readonly examples: number[]; room: number }[] = [];
  for (const index of order) {
    const length = lengthAt(lengths, index);
    let fullest: (typeof rows)[number] | undefined;
    for (const row of rows) if (row.room >= length && (fullest === undefined || row.room < fullest.room)) fullest = row;
    if (fullest === undefined) {
      fullest = { examples: [], room: tokens };
      rows.push(fullest);
    }
    fullest.examples.push(index);
    fullest.room -= length;
  }
  return rows.map(({ examples }) => examples);
}

const lengthAt = (lengths: readonly number[], index = 0): number => lengths[index] ?? 0;
