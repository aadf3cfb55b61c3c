import { type Batch, buildBatch } from "../src/data/batch.js";

// The batches that both sides read: a JSON object a line, {"input_ids": [[…]], "labels": [[…]]}, as transformers takes them. The rows of a
// batch have one length. labels[t] is the id at t, not shifted, or -100 where the token is not learned; padding is learned nowhere.

/** One batch, B rows of T tokens. */
export interface FileBatch {
  readonly input_ids: readonly (readonly number[])[]; // [B, T]
  readonly labels: readonly (readonly number[])[]; // [B, T]
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
    return { input_ids: rows, labels: rows };
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
  };
}

/** The speed counts every element of a batch, padding too, on both sides. */
export function elementsOf(batch: FileBatch): number {
  return batch.input_ids.reduce((sum, row) => sum + row.length, 0);
}

/** The batch as this library's training step reads it. */
export function toBatch(batch: FileBatch): Batch {
  return buildBatch(
    batch.input_ids.map((ids, row) => ({
      ids: Int32Array.from(ids),
      supervised: Uint8Array.from(batch.labels[row] ?? [], (label) => (label === UNLEARNED ? 0 : 1)),
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
