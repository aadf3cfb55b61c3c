import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { InputError, reasonOf } from "../../../errors.js";
import type { ByteSource } from "../../../weights/byte-source.js";
import type { Located } from "../../json-lines.js";
import { damaged, PARQUET_MAGIC } from "./damaged.js";

/** Of the description at a file's end; that of a table with many columns and groups has a few megabytes. */
const MAX_FOOTER_BYTES = 256 * 2 ** 20;
/** A group of rows is unpacked as a whole. Writers make groups of up to some hundred megabytes. */
const MAX_GROUP_BYTES = 2 ** 31;
/** Writers make groups of up to a million rows. */
const MAX_GROUP_ROWS = 2 ** 24;

/**
 * The rows of a Parquet file with all its columns, one group of rows in memory at a time; a row's `line` is its number, from 1. Whole
 * numbers become numbers (beyond 2^53 decimal text), moments ISO text, JSON columns their text; bytes that are no text stay bytes.
 * On some damaged files it does not end: see `parquetRows`, which bounds it.
 *
 * @param onProgress called whenever a part of the file has been read or a page unpacked
 * @throws InputError where the file is damaged, or holds what cannot be read.
 */
export async function* decodeParquet(source: ByteSource, onProgress: () => void = () => undefined): AsyncGenerator<Located> {
  const file: AsyncBuffer = {
    byteLength: source.size,
    slice: async (start, end = source.size) => {
      onProgress();
      return bufferOf(await source.read(start, end - start));
    },
  };
  const metadata = await readMetadata(source, file);
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    const rows = await reading(source, () =>
      parquetReadObjects({
        file,
        metadata,
        rowStart: start,
        rowEnd: end,
        compressors: codecs,
        parsers,
        geoparquet: false,
        onPage: onProgress,
      }),
    );
    if (rows.length !== end - start) throw damaged(source, `rows ${start + 1} to ${end} are ${rows.length}`);
    for (const [index, row] of rows.entries()) yield { line: start + index + 1, value: plain(row) };
    start = end;
  }
}

async function readMetadata(source: ByteSource, file: AsyncBuffer): Promise<FileMetaData> {
  const magic = async (offset: number) => new TextDecoder("latin1").decode(await source.read(offset, PARQUET_MAGIC.length));
  const smallest = 3 * PARQUET_MAGIC.length;
  if (source.size < smallest || (await magic(0)) !== PARQUET_MAGIC) {
    throw new InputError(`${source.name}: is not a Parquet file: it does not begin with ${PARQUET_MAGIC}.`);
  }
  if ((await magic(source.size - PARQUET_MAGIC.length)) !== PARQUET_MAGIC) throw damaged(source, `it does not end with ${PARQUET_MAGIC}`);
  const [length] = new Uint32Array(bufferOf(await source.read(source.size - 2 * PARQUET_MAGIC.length, 4)));
  if (length === undefined || length > Math.min(MAX_FOOTER_BYTES, source.size - smallest))
    throw damaged(source, `its description would have ${length} bytes`);
  const metadata = await reading(source, () => parquetMetadataAsync(file, { geoparquet: false }));
  const total = metadata.row_groups.reduce((sum, { num_rows }) => sum + Number(num_rows), 0);
  if (total !== Number(metadata.num_rows)) throw damaged(source, `its groups have ${total} rows, the file ${metadata.num_rows}`);
  for (const group of metadata.row_groups) checkGroup(source, group);
  return metadata;
}

/** A group's columns lie inside the file and unpack to what memory holds. */
function checkGroup(source: ByteSource, { num_rows, columns }: FileMetaData["row_groups"][number]): void {
  if (num_rows < 0n || num_rows > MAX_GROUP_ROWS) throw damaged(source, `a group has ${num_rows} rows`);
  let unpacked = 0;
  for (const { meta_data: column } of columns) {
    if (column === undefined) throw damaged(source, "a column has no description");
    const start = Number(column.dictionary_page_offset ?? column.data_page_offset);
    const end = start + Number(column.total_compressed_size);
    if (!(start >= 0 && end >= start && end <= source.size)) throw damaged(source, `a column lies from byte ${start} to ${end}`);
    unpacked += Number(column.total_uncompressed_size);
  }
  if (unpacked > MAX_GROUP_BYTES) {
    throw new InputError(
      `${source.name}: a group of rows has ${unpacked} bytes; up to ${MAX_GROUP_BYTES} are read at once. Write it with smaller groups (row_group_size).`,
    );
  }
}

/** Node's own for gzip and Brotli: the package's gzip does not end on some damaged pages. */
const codecs: typeof compressors = {
  ...compressors,
  GZIP: (input, length) => gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
};

/** What the library throws is a matter of the file. */
async function reading<T>(source: ByteSource, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw damaged(source, reasonOf(cause, "its description does not fit its pages"), cause);
  }
}

const bufferOf = (bytes: Uint8Array): ArrayBuffer =>
  bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : new Uint8Array(bytes).buffer;

/** Bytes that are no UTF-8 stay bytes, and are refused where a row needs a text. */
function textOf(bytes: Uint8Array | undefined): unknown {
  try {
    return bytes && new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes;
  }
}

const parsers = { stringFromBytes: textOf, jsonFromBytes: textOf };

/** A value as a JSON file would hold it. */
function plain(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}
