import type { RowEncoder } from "../../data/example.js";
import type { FetchDataSet } from "../../data/node/data-files.js";
import { type ReadOptions, type ReadRows, readRowsInto } from "../../data/node/read-rows.js";
import { Shelf } from "../../data/node/shelf.js";
import type { RowSource } from "../../data/row.js";
import type { Series } from "../../data/series.js";
import { resolveDataSet } from "../../hub/node/resolve-data-set.js";
import { fromTheHub } from "./from-the-hub.js";
import { type OpenOptions, resolveOptions } from "./open-model.js";
import { breathe } from "./worker/context.js";

/** What goes on around rows that are gone through: how far it is goes out, and an abort comes in. */
export type PassOptions = OpenOptions;

/** Rows that become examples in one go. */
const ROWS_BETWEEN_PAUSES = 256;

/** Reads the rows of a file, of which there may be more than memory holds. */
export function readShelvedRows<Row extends { readonly source: RowSource }>(
  path: string,
  recognise: Parameters<typeof readRowsInto<Row, Series<Row>>>[2],
  options: ReadOptions,
  pass: PassOptions,
): Promise<ReadRows<Row>> {
  const { signal, onProgress } = pass;
  const pause = async (done: number) => {
    onProgress?.({ task: "reading rows", done, unit: "items" });
    await breathe();
    signal?.throwIfAborted();
  };
  return readRowsInto(new Shelf<Row>("rows that do not fit into memory"), path, recognise, {
    ...options,
    pause,
    fetchDataSet: fetchWith(pass),
  });
}

/** Data sets of the Hub, by their names. */
export const fetchWith =
  (options: PassOptions): FetchDataSet =>
  (name) =>
    fromTheHub(name, "a data set", (given) => resolveDataSet(given, resolveOptions(options)));

/** Makes examples of all rows. */
export async function encodeShelved<Row, Encoded>(
  rows: Series<Row>,
  encoder: RowEncoder<Row, Encoded>,
  { signal, onProgress }: PassOptions,
): Promise<Encoded> {
  let done = 0;
  for (const row of rows) {
    encoder.add(row, done++);
    if (done % ROWS_BETWEEN_PAUSES > 0) continue;
    onProgress?.({ task: "making tokens of rows", done, total: rows.length, unit: "items" });
    await breathe();
    signal?.throwIfAborted();
  }
  return encoder.result();
}
