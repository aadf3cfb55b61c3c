import { Readable } from "node:stream";
import { type CsvError, type InfoRecord, parse } from "csv-parse";
import { InputError } from "../../errors.js";
import { type Columns, groupOf, namedRow } from "../columns.js";
import { type Located, parseJsonLine, parseJsonList } from "../json-lines.js";
import { recogniseRow } from "../recognise.js";
import type { RowSource, SourceRow } from "../row.js";
import { type Collector, inArray, type Series } from "../series.js";
import { type DataFile, type FetchDataSet, findDataFiles, readBytes, readProblem } from "./data-files.js";
import { PARQUET_MAGIC } from "./parquet/damaged.js";
import { parquetRows } from "./parquet/rows.js";
import { readTextChunks, splitLines } from "./text-lines.js";

export type FileFormat = "jsonl" | "json" | "csv" | "parquet";

export interface ReadRows<Row = SourceRow, Rows extends Series<Row> = Series<Row>> {
  /** The formats of the files, in the order in which they were met. */
  readonly format: string;
  /** The names of the files, more than one where a folder was given. */
  readonly files: readonly string[];
  readonly rows: Rows;
}

/** How a file's rows are read. */
export interface ReadOptions {
  /** What the file calls its columns; by default as Lorikeet does. */
  readonly columns?: Columns | undefined;
  /** A column of the file: rows with the same value in it are of one group. */
  readonly groupBy?: string | undefined;
  /** Where rows come from when there is no such file. */
  readonly fetchDataSet?: FetchDataSet | undefined;
  /** Called between rows, with how many of the file are read, to tell it and to let other work happen; may throw to stop. */
  readonly pause?: ((rows: number) => Promise<void>) | undefined;
}

/** A row as its task reads it, or what is wrong with it. */
type Recognised<Row> = Omit<Row, "source"> | { readonly problem: string };

/** Rows that are read in one go. */
const ROWS_BETWEEN_PAUSES = 1000;

/** Errors in a table after which the rest is not read. */
const MAX_CSV_ERRORS = 1000;

/** Bad rows are named, up to this many. */
const namedProblems = 10;

/** A JSON file is parsed as one text; V8's longest string has about 512 million characters. */
const maxJsonLength = 400 * 1024 * 1024;

async function* jsonLines(file: DataFile): AsyncGenerator<Located> {
  let line = 0;
  for await (const text of splitLines(readTextChunks(file), file.name)) {
    const located = parseJsonLine(text, ++line);
    if (located !== undefined) yield located;
  }
}

async function* jsonList(file: DataFile): AsyncGenerator<Located> {
  let text = "";
  for await (const chunk of readTextChunks(file)) {
    text += chunk;
    if (text.length > maxJsonLength) {
      throw new InputError(
        `${file.name}: is longer than the ${maxJsonLength} characters that a .json file may have. Write it as JSONL, which is read line by line.`,
      );
    }
  }
  const list = parseJsonList(text);
  if ("problem" in list)
    throw new InputError(
      `${file.name}: ${list.problem}. Write one JSON object a line and name the file .jsonl, or put the rows into one list.`,
    );
  yield* list;
}

/** The separator of the heading line: the one of tab, semicolon and comma that occurs most. */
function delimiterOf(heading: string): string {
  const count = (delimiter: string) => heading.split(delimiter).length;
  return ["\t", ";"].reduce((best, one) => (count(one) > count(best) ? one : best), ",");
}

/** Rows of a CSV file as objects by its heading line. Empty cells are empty strings. */
async function* csvRecords(file: DataFile): AsyncGenerator<Located> {
  const first = await firstLine(file);
  const skipped: Located[] = [];
  let errors = 0;
  const parser = parse({
    bom: true,
    columns: (heading: string[]) => heading.map((name) => name.trim()),
    delimiter: delimiterOf(first),
    info: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: (error: CsvError | undefined) => {
      // Each quotation mark in a wrong place is an error that shows all of its cell: a long one could go on for ever.
      if (++errors > MAX_CSV_ERRORS)
        throw new InputError(`${file.name}: more than ${MAX_CSV_ERRORS} of its rows or quotation marks are not CSV. Is it another file?`);
      const line = Number(error?.lines ?? 0);
      skipped.push({
        line,
        problem: `expected as many cells as the heading has (${first.slice(0, 60)}): ${error?.message ?? "unreadable"}`,
      });
      return undefined;
    },
  });
  const source = Readable.from(readTextChunks(file));
  source.on("error", (error) => parser.destroy(error));
  try {
    for await (const { record, info } of source.pipe(parser) as AsyncIterable<{ record: Record<string, string>; info: InfoRecord }>) {
      // csv-parse gives the line on which a record ends; line breaks inside its cells lie between that and its beginning.
      const breaks = Object.values(record).reduce((sum, cell) => sum + cell.split("\n").length - 1, 0);
      yield { line: info.lines - breaks, value: record };
      yield* skipped.splice(0);
    }
  } catch (cause) {
    throw cause instanceof InputError ? cause : new InputError(`${file.name}: is not CSV: ${(cause as Error).message}`, { cause });
  }
  yield* skipped;
}

async function firstLine(file: DataFile): Promise<string> {
  for await (const line of splitLines(readTextChunks(file), file.name)) if (line.trim() !== "") return line;
  return "";
}

/** What the file is taken for: by its name, and for .json and unknown names by how it begins. */
async function formatOf(file: DataFile): Promise<FileFormat> {
  const { name, extension } = file;
  if (extension === ".csv" || extension === ".tsv") return "csv";
  if (extension === ".jsonl" || extension === ".ndjson") return "jsonl";
  if (extension === ".parquet" || (await beginsAsParquet(file))) return "parquet";
  const first = await firstLine(file);
  const start = first.trimStart();
  if (start.startsWith("[")) return "json";
  if (start.startsWith("{")) return beginsWholeJson(first) ? "json" : "jsonl";
  if (start === "") throw new InputError(`${name}: is empty; expected rows in JSONL, JSON, CSV or Parquet.`);
  // What comes without a name and is neither can only be a table.
  if (file.isNameless) return "csv";
  throw new InputError(
    `${name}: expected a JSONL, JSON, CSV or Parquet file (.jsonl, .json, .csv, .parquet), found a file that begins with ${JSON.stringify(start.slice(0, 40))}.`,
  );
}

async function beginsAsParquet(file: DataFile): Promise<boolean> {
  try {
    for await (const piece of readBytes(file)) return new TextDecoder("latin1").decode(piece.subarray(0, 4)) === PARQUET_MAGIC;
    return false;
  } catch (cause) {
    throw readProblem(file.name, cause);
  }
}

/** True for an object that its first line does not close: one JSON value over many lines. */
function beginsWholeJson(firstLine: string): boolean {
  const located = parseJsonLine(firstLine, 1);
  return located !== undefined && "problem" in located;
}

function reader(format: FileFormat, file: DataFile): AsyncGenerator<Located> {
  switch (format) {
    case "jsonl":
      return jsonLines(file);
    case "json":
      return jsonList(file);
    case "csv":
      return csvRecords(file);
    case "parquet":
      return parquetRows(file.place);
  }
}

/**
 * Reads the rows of a JSONL, JSON or CSV file, also packed by gzip, of a Parquet file, of a folder of such files, or of standard input (`-`), and
 * recognises them by their keys. A byte order mark, CRLF and blank lines are taken in stride.
 * In Parquet the number of a row stands for its line.
 * @throws InputError `FILE:LINE: expected …, found …` for each bad row (the first ten), or when a file holds no row.
 */
export async function readRows(path: string, options: ReadOptions = {}): Promise<ReadRows<SourceRow, readonly SourceRow[]>> {
  return readRowsAs<SourceRow>(path, recogniseRow, options);
}

/** Reads the rows of a file as `readRows` does, recognised by the rules of a task. */
export function readRowsAs<Row extends { readonly source: RowSource }>(
  path: string,
  recognise: (value: unknown) => Recognised<Row>,
  options: ReadOptions = {},
): Promise<ReadRows<Row, readonly Row[]>> {
  return readRowsInto(inArray<Row>(), path, recognise, options);
}

/** Reads the rows of a file, of which there may be more than memory holds. */
export async function readRowsInto<Row extends { readonly source: RowSource }, Rows extends Series<Row>>(
  into: Collector<Row, Rows>,
  path: string,
  recognise: (value: unknown) => Recognised<Row>,
  options: ReadOptions = {},
): Promise<ReadRows<Row, Rows>> {
  const files = await findDataFiles(path, options.fetchDataSet);
  const formats = new Set<FileFormat>();
  const problems: string[] = [];
  let bad = 0;
  for (const file of files) {
    const format = await formatOf(file);
    formats.add(format);
    let count = 0;
    for await (const located of reader(format, file)) {
      if (++count % ROWS_BETWEEN_PAUSES === 0) await options.pause?.(count);
      const result = recogniseAs(located, recognise, options);
      if ("problem" in result) {
        if (++bad <= namedProblems) problems.push(`${file.name}:${located.line}: ${result.problem}`);
      } else if (bad === 0) into.push({ ...result, source: { file: file.name, line: located.line } } as unknown as Row, into.series.length);
    }
    if (count === 0) throw new InputError(`${file.name}: has no rows; expected rows in JSONL, JSON, CSV or Parquet.`);
  }
  if (bad > 0) throw new InputError([...problems, ...(bad > namedProblems ? [`… and ${bad - namedProblems} more rows.`] : [])].join("\n"));
  return { format: [...formats].join(", "), files: files.map(({ name }) => name), rows: into.series };
}

function recogniseAs<Row>(
  located: Located,
  recognise: (value: unknown) => Recognised<Row>,
  { columns, groupBy }: ReadOptions,
): (Omit<Row, "source"> & { readonly group?: string }) | { readonly problem: string } {
  if ("problem" in located) return located;
  const group = groupBy === undefined ? undefined : groupOf(located.value, groupBy);
  if (group !== undefined && "problem" in group) return group;
  const named = namedRow(located.value, columns);
  if ("problem" in named) return named;
  const result = recognise(named.value);
  return "problem" in result ? result : { ...result, ...group };
}
