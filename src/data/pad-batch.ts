import type { Batch } from "./batch.js";

/** What the sizes of a batch have to be multiples of, for a program to be fed it. */
export interface BatchMultiples {
  /** Of T. */
  readonly tokens: number;
  /** Of S. */
  readonly supervised: number;
}

/** The batch with its rows and its learned places padded to multiples. */
export const padBatch = (batch: Batch, multiples: BatchMultiples): Batch =>
  padSupervised(padRows(batch, multiples.tokens), multiples.supervised);

function padRows(batch: Batch, multiple: number): Batch {
  const tokens = roundUp(batch.tokens, multiple);
  if (tokens === batch.tokens) return batch;
  const laidOut = <A extends BigInt64Array | Float32Array>(values: A, into: A): A => {
    for (let row = 0; row < batch.batch; row++) {
      into.set(values.subarray(row * batch.tokens, (row + 1) * batch.tokens) as never, row * tokens);
    }
    return into;
  };
  const size = batch.batch * tokens;
  const moved = (rows: BigInt64Array) =>
    rows.map((place) => (place / BigInt(batch.tokens)) * BigInt(tokens) + (place % BigInt(batch.tokens)));
  return {
    ...batch,
    tokens,
    ids: laidOut(batch.ids, new BigInt64Array(size)),
    positions: laidOut(batch.positions, new BigInt64Array(size)),
    ...(batch.tokenTypes === undefined ? {} : { tokenTypes: laidOut(batch.tokenTypes, new BigInt64Array(size)) }),
    segments: laidOut(batch.segments, new Float32Array(size)),
    supervisedRows: moved(batch.supervisedRows),
    ...(batch.partnerRows === undefined ? {} : { partnerRows: moved(batch.partnerRows) }),
  };
}

function padSupervised(batch: Batch, multiple: number): Batch {
  const places = roundUp(batch.targets.length, multiple);
  if (places === batch.targets.length) return batch;
  const padded = <A extends BigInt64Array | Float32Array>(values: A, into: A): A => {
    into.set(values as never);
    return into;
  };
  return {
    ...batch,
    supervisedRows: padded(batch.supervisedRows, new BigInt64Array(places)),
    ...(batch.partnerRows === undefined ? {} : { partnerRows: padded(batch.partnerRows, new BigInt64Array(places)) }),
    targets: padded(batch.targets, new BigInt64Array(places)),
    ...(batch.values === undefined ? {} : { values: padded(batch.values, new Float32Array(places)) }),
    weights: padded(batch.weights, new Float32Array(places)),
  };
}

const roundUp = (count: number, multiple: number): number => Math.ceil(count / multiple) * multiple;
