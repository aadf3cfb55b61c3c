import { InputError } from "../errors.js";
import { lessonOf, type TaughtTokens, textsOf, tokensOf } from "./lesson.js";
import { bucketOf, longestOf, packRows } from "./packing.js";
import { createRandom } from "./random.js";
import { pick, type Series } from "./series.js";
import { lengthsOf, type Sizes, sizesOf } from "./sizes.js";

/**
 * What a step of training reads: examples in B rows of T tokens, several to a row where that costs less, padded on the right;
 * S places at which something is learned.
 */
export interface Batch {
  /** B */
  readonly batch: number;
  /** T */
  readonly tokens: number;
  readonly ids: BigInt64Array; // [B·T], 0 in padding
  readonly positions: BigInt64Array; // [B·T], from 0 on in each example, 0 in padding
  /** The text of a pair that a token belongs to, 0 or 1; all to the first where absent. */
  readonly tokenTypes?: BigInt64Array; // [B·T]
  readonly segments: Float32Array; // [B·T], 1 for the first example of a row, 2 for the second, …; 0 for padding
  /**
   * Row b·T + t whose hidden state meets a target, such as the next token; row 0 in padding. The places of an example stand together,
   * examples in the order given.
   */
  readonly supervisedRows: BigInt64Array; // [S]
  /** For each of them the row that stands for the example's other text, where examples are pairs; 0 in padding. */
  readonly partnerRows?: BigInt64Array; // [S]
  /** The next token's id, or a class; 0 in padding, and where values are learned. */
  readonly targets: BigInt64Array; // [S]
  /** What a regression learns; absent elsewhere. */
  readonly values?: Float32Array; // [S], 0 in padding
  readonly weights: Float32Array; // [S], 0 in padding
  /** How many of the S places are real. */
  readonly supervisedCount: number;
  /** Tokens that the examples have, those that need not be read included. */
  readonly exampleTokens: number;
  /** Those of the longest text among them. */
  readonly longest: number;
}

/** The sizes of a batch as a program is fed it. */
export interface BatchShape {
  readonly batch: number;
  readonly tokens: number;
  readonly supervised: number;
}

/** The shape of the batch that `buildBatch` makes of these examples. */
export const batchShape = (examples: readonly TaughtTokens[]): BatchShape => shapeOf(sizesOf(examples), Array.from(examples.keys()));

/** The shape of the batch that the examples at some positions make. */
export function shapeOf({ read, partner, places }: Sizes, indexes: readonly number[]): BatchShape {
  const of = (counts: Int32Array) => indexes.map((index) => counts[index] ?? 0);
  // An example of no tokens is in no row.
  const { tokens, rows } = packRows([...of(read), ...of(partner)]);
  return { batch: rows.length, tokens, supervised: bucketOf(of(places).reduce((sum, count) => sum + count, 0)) };
}

/** Lays examples out as one batch: the loss and its gradients are the sums of those of each example alone. */
export function buildBatch(examples: readonly TaughtTokens[]): Batch {
  const lessons = examples.map(lessonOf);
  const partners = lessons.flatMap(({ partner }) => partner ?? []);
  const texts = [
    ...lessons.map(({ read, tokenTypes }, index) => ({ ids: examples[index]?.ids.subarray(0, read) ?? new Int32Array(), tokenTypes })),
    ...partners.map(({ ids }) => ({ ids, tokenTypes: undefined })),
  ];
  const { tokens, rows } = packRows(texts.map(({ ids }) => ids.length));
  const size = rows.length * tokens;
  const ids = new BigInt64Array(size);
  const positions = new BigInt64Array(size);
  const segments = new Float32Array(size);
  const tokenTypes = examples.some((example) => "tokenTypes" in example) ? new BigInt64Array(size) : undefined;
  const starts = texts.map(() => 0);
  rows.forEach((row, b) => {
    let place = b * tokens;
    row.forEach((index, segment) => {
      starts[index] = place;
      texts[index]?.ids.forEach((id, t) => {
        ids[place] = BigInt(id);
        positions[place] = BigInt(t);
        segments[place] = segment + 1;
        if (tokenTypes !== undefined) tokenTypes[place] = BigInt(texts[index]?.tokenTypes?.[t] ?? 0);
        place++;
      });
    });
  });
  const learned = lessons.flatMap(({ places, targets, weights }, index) =>
    Array.from(places, (t, place) => ({ row: (starts[index] ?? 0) + t, target: targets[place] ?? 0, weight: weights?.[place] ?? 1 })),
  );
  const learnsValues = lessons.some(({ targets }) => targets instanceof Float32Array);
  const supervisedRows = new BigInt64Array(bucketOf(learned.length));
  const targets = new BigInt64Array(supervisedRows.length);
  const values = new Float32Array(learnsValues ? supervisedRows.length : 0);
  const weights = new Float32Array(supervisedRows.length);
  learned.forEach(({ row, target, weight }, s) => {
    supervisedRows[s] = BigInt(row);
    if (learnsValues) values[s] = target;
    else targets[s] = BigInt(target);
    weights[s] = weight;
  });
  const partnerRows = new BigInt64Array(partners.length === 0 ? 0 : supervisedRows.length);
  partners.forEach(({ place }, index) => {
    partnerRows[index] = BigInt((starts[examples.length + index] ?? 0) + place);
  });
  return {
    batch: rows.length,
    tokens,
    ids,
    positions,
    ...(tokenTypes === undefined ? {} : { tokenTypes }),
    segments,
    supervisedRows,
    ...(partners.length === 0 ? {} : { partnerRows }),
    targets,
    ...(learnsValues ? { values } : {}),
    weights,
    supervisedCount: learned.length,
    exampleTokens: examples.reduce((sum, example) => sum + tokensOf(example), 0),
    longest: longestOf(examples.flatMap(textsOf)),
  };
}

/** What the learned places of a batch count for together. */
export const weightOf = ({ weights }: Batch): number => weights.reduce((sum, weight) => sum + weight, 0);

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
export function epochPlan(lengths: ArrayLike<number>, batchSize: number, seed: number, epoch: number): number[][] {
  const random = createRandom(seed, `batches/${epoch}`);
  const order = Array.from({ length: lengths.length }, (_, index) => index);
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
export function openBatches(examples: Series<TaughtTokens>, options: { batchSize: number; seed: number }, from?: Cursor): BatchStream {
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
  const lengths = lengthsOf(examples);
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
      return buildBatch(pick(examples, indexes));
    },
    cursor: () => ({ seed, epoch, position, batchSize, examples: examples.length }),
  };
}

/** A batch that measures. */
export interface MeasuringBatch {
  readonly batch: Batch;
  /** Which examples it holds. */
  readonly indexes: readonly number[];
  /** How many of its learned places, from the first on, belong to each of them. */
  readonly counts: readonly number[];
}

/** All examples once, for measuring: sorted by length, so that padding is little. */
export function* measuringBatches(examples: Series<TaughtTokens>, batchSize: number): Generator<MeasuringBatch> {
  const { tokens } = sizesOf(examples);
  const length = (index: number) => tokens[index] ?? 0;
  const order = Array.from(tokens.keys()).sort((a, b) => length(a) - length(b) || a - b);
  for (let start = 0; start < order.length; start += batchSize) {
    const indexes = order.slice(start, start + batchSize);
    const together = pick(examples, indexes);
    yield { batch: buildBatch(together), indexes, counts: together.map((example) => lessonOf(example).places.length) };
  }
}
