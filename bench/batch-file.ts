import { type Batch, buildBatch } from "../src/data/batch.js";

// The batches that both sides read: a JSON object a line, {"input_ids": [[…]], "labels": [[…]], "lengths": […]}, the first two as
// transformers takes them. The rows of a batch have one length, "lengths" says how much of each is not padding. labels[t] is the id at t, not
// shifted, or -100 where the token is not learned; padding is learned nowhere.

/** One batch, B rows of T tokens. */
export interface FileBatch {
  readonly input_ids: readonly (readonly number[])[]; // [B, T]
  readonly labels: readonly (readonly number[])[]; // [B, T]
  readonly lengths: readonly number[]; // [B]
}

/** What transformers leaves out of the loss. */
const UNLEARNED = -100;
/** Any id will do: causal attention keeps what stands behind a row's last token from its tokens. */
const PADDING = 0;

interface Row {
  readonly ids: ArrayLike<number>;
  readonly supervised: ArrayLike<number>;
}

/** Cuts a stream of ids into rows of `length` tokens, every token learned, and these into batches. What fills no batch is left out. */
export function cutIntoBatches(ids: readonly number[], length: number, batchSize: number): FileBatch[] {
  const count = Math.floor(ids.length / (length * batchSize));
  return Array.from({ length: count }, (_, batch) => {
    const rows = Array.from({ length: batchSize }, (_, row) => {
      const start = (batch * batchSize + row) * length;
      return ids.slice(start, start + length);
    });
    return { input_ids: rows, labels: rows, lengths: rows.map(() => length) };
  });
}

/** Lays rows out in batches in the order given, each batch padded on the right to its longest row. What fills no batch is left out. */
export function padIntoBatches(rows: readonly Row[], batchSize: number): FileBatch[] {
  const count = Math.floor(rows.length / batchSize);
  return Array.from({ length: count }, (_, batch) => padded(rows.slice(batch * batchSize, (batch + 1) * batchSize)));
}

function padded(rows: readonly Row[]): FileBatch {
  const longest = rows.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  const places = Array.from({ length: longest }, (_, place) => place);
  return {
    input_ids: rows.map(({ ids }) => places.map((place) => ids[place] ?? PADDING)),
    labels: rows.map(({ ids, supervised }) => places.map((place) => (supervised[place] ? (ids[place] ?? UNLEARNED) : UNLEARNED))),
    lengths: rows.map(({ ids }) => ids.length),
  };
}

/** The speed counts the tokens of the rows, on both sides: padding teaches nothing, however many places a side gives to it. */
export function tokensOf({ lengths }: FileBatch): number {
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** The batch as this library's training step reads it: laid out anew from the rows without their padding. */
export function toBatch(batch: FileBatch): Batch {
  return buildBatch(
    batch.input_ids.map((ids, row) => ({
      ids: Int32Array.from(ids.slice(0, batch.lengths[row])),
      supervised: Uint8Array.from(batch.labels[row]?.slice(0, batch.lengths[row]) ?? [], (label) => (label === UNLEARNED ? 0 : 1)),
    })),
  );
}

export function encodeBatches(batches: readonly FileBatch[]): string {
  return batches.map((batch) => `${JSON.stringify(batch)}\n`).join("");
}

export function decodeBatches(text: string): FileBatch[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line): FileBatch => JSON.parse(line));
}
