import { InputError } from "../errors.js";
import type { Example } from "./example.js";
import { createRandom } from "./random.js";

/** What a step of training reads. B examples of T tokens, padded on the right; S places where a token is predicted. */
export interface Batch {
  /** B */
  readonly batch: number;
  /** T */
  readonly tokens: number;
  readonly ids: BigInt64Array; // [B·T], 0 in padding
  readonly positions: BigInt64Array; // [B·T]
  readonly segments: Float32Array; // [B·T], 1 for a token, 0 for padding
  /** Row b·T + t whose NEXT token is supervised; row 0 in padding. */
  readonly supervisedRows: BigInt64Array; // [S]
  readonly targets: BigInt64Array; // [S], 0 in padding
  readonly weights: Float32Array; // [S], 0 in padding
  /** How many of the S places are real. */
  readonly supervisedCount: number;
}

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

type Tokens = Pick<Example, "ids" | "supervised">;

/** Lays examples out as one batch. The first token of an example has nothing before it and is never a target. */
export function buildBatch(examples: readonly Tokens[]): Batch {
  const longest = examples.reduce((most, example) => Math.max(most, example.ids.length), 1);
  const tokens = bucketOf(longest);
  const size = examples.length * tokens;
  const ids = new BigInt64Array(size);
  const positions = new BigInt64Array(size);
  const segments = new Float32Array(size);
  const rows: number[] = [];
  const wanted: number[] = [];
  examples.forEach((example, b) => {
    const start = b * tokens;
    for (let t = 0; t < tokens; t++) positions[start + t] = BigInt(t);
    example.ids.forEach((id, t) => {
      ids[start + t] = BigInt(id);
      segments[start + t] = 1;
      if (t > 0 && example.supervised[t] === 1) {
        rows.push(start + t - 1);
        wanted.push(id);
      }
    });
  });
  const places = bucketOf(rows.length);
  const supervisedRows = new BigInt64Array(places);
  const targets = new BigInt64Array(places);
  const weights = new Float32Array(places);
  rows.forEach((row, s) => {
    supervisedRows[s] = BigInt(row);
    targets[s] = BigInt(wanted[s] ?? 0);
    weights[s] = 1;
  });
  return { batch: examples.length, tokens, ids, positions, segments, supervisedRows, targets, weights, supervisedCount: rows.length };
}

/** The batch with its learned places padded to a multiple of `multiple`. */
export function padSupervised(batch: Batch, multiple: number): Batch {
  const places = Math.ceil(batch.targets.length / multiple) * multiple;
  if (places === batch.targets.length) return batch;
  const padded = <A extends BigInt64Array | Float32Array>(values: A, into: A): A => {
    into.set(values as never);
    return into;
  };
  return {
    ...batch,
    supervisedRows: padded(batch.supervisedRows, new BigInt64Array(places)),
    targets: padded(batch.targets, new BigInt64Array(places)),
    weights: padded(batch.weights, new Float32Array(places)),
  };
}

/** Where a stream of batches stands; plain JSON. `position` counts the batches already given in this epoch. */
export interface Cursor {
  readonly seed: number;
  readonly epoch: number;
  readonly position: number;
  readonly batchSize: number;
  readonly examples: number;
}

export interface BatchStream {
  readonly batchesPerEpoch: number;
  /** The next batch; after the last of an epoch, the first of the next one. Never ends. */
  next(): Batch;
  /** Where the stream stands now. A stream opened at this cursor gives exactly the batches that this one would give. */
  cursor(): Cursor;
}

/** Batches whose examples are sorted together: enough for batches of one length, few enough for every epoch to differ. */
const batchesSortedTogether = 64;

/**
 * The batches of one epoch, as indexes of examples: a shuffle by (seed, epoch), sorted by length within windows so that a batch
 * holds examples of about one length, and the batches shuffled again so that length says nothing about time.
 */
export function epochPlan(lengths: readonly number[], batchSize: number, seed: number, epoch: number): number[][] {
  const random = createRandom(seed, `batches/${epoch}`);
  const order = lengths.map((_, index) => index);
  random.shuffle(order);
  const batches: number[][] = [];
  const window = batchSize * batchesSortedTogether;
  for (let start = 0; start < order.length; start += window) {
    const together = order.slice(start, start + window).sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0));
    for (let i = 0; i < together.length; i += batchSize) batches.push(together.slice(i, i + batchSize));
  }
  random.shuffle(batches);
  return batches;
}

/**
 * An endless stream of training batches, shuffled by seed in each epoch, from the beginning or from a saved cursor.
 * @throws InputError when the cursor was saved over other data or another batch size: its place would mean something else.
 */
export function openBatches(examples: readonly Example[], options: { batchSize: number; seed: number }, from?: Cursor): BatchStream {
  const { batchSize, seed } = options;
  if (examples.length === 0) throw new InputError("There is no example to train on.");
  if (!Number.isSafeInteger(batchSize) || batchSize < 1)
    throw new InputError(`The batch size must be a whole number from 1 on, found ${batchSize}.`);
  const start = from ?? { seed, epoch: 0, position: 0, batchSize, examples: examples.length };
  const differing = (
    [
      ["seed", seed],
      ["batchSize", batchSize],
      ["examples", examples.length],
    ] as const
  ).filter(([key, now]) => start[key] !== now);
  if (differing.length > 0) {
    const list = differing.map(([key, now]) => `${key} was ${start[key]}, is ${now}`).join("; ");
    throw new InputError(
      `The data is not what the checkpoint was made with (${list}). Resume with the same file and options, or start anew.`,
    );
  }
  const lengths = examples.map((example) => example.ids.length);
  const batchesPerEpoch = epochPlan(lengths, batchSize, seed, 0).length;
  let { epoch, position } = start;
  let plan = epochPlan(lengths, batchSize, seed, epoch);
  return {
    batchesPerEpoch,
    next() {
      if (position >= plan.length) {
        epoch++;
        position = 0;
        plan = epochPlan(lengths, batchSize, seed, epoch);
      }
      const indexes = plan[position++] ?? [];
      return buildBatch(indexes.flatMap((index) => examples[index] ?? []));
    },
    cursor: () => ({ seed, epoch, position, batchSize, examples: examples.length }),
  };
}

/** All examples once, for measuring: sorted by length, so that padding is little. `indexes` says which example each row of a batch is. */
export function* measuringBatches<E extends Tokens>(
  examples: readonly E[],
  batchSize: number,
): Generator<{ readonly batch: Batch; readonly indexes: readonly number[] }> {
  const length = (index: number) => examples[index]?.ids.length ?? 0;
  const order = examples.map((_, index) => index).sort((a, b) => length(a) - length(b) || a - b);
  for (let start = 0; start < order.length; start += batchSize) {
    const indexes = order.slice(start, start + batchSize);
    yield { batch: buildBatch(indexes.flatMap((index) => examples[index] ?? [])), indexes };
  }
}
