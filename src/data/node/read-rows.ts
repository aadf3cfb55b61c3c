import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { Readable } from "node:stream";
import { type CsvError, type InfoRecord, parse } from "csv-parse";
import { InputError } from "../../errors.js";
import { type Located, parseJsonLine, parseJsonList } from "../json-lines.js";
import { recogniseRow } from "../recognise.js";
import type { RowSource, SourceRow } from "../row.js";
import { readProblem, readTextChunks, splitLines } from "./text-lines.js";

export type FileFormat = "jsonl" | "json" | "csv";

export interface ReadRows<Row = SourceRow> {
  readonly format: FileFormat;
  readonly rows: readonly Row[];
}

/** A row as its task reads it, or what is wrong with it. */
type Recognised<Row> = Omit<Row, "source"> | { readonly problem: string };

/** Bad rows are named, up to this many. */
const namedProblems = 10;

/** A JSON file is parsed as one text; V8's longest string is about 512 MB. */
const maxJsonBytes = 400 * 1024 * 1024;

async function* jsonLines(path: string): AsyncGenerator<Located> {
  let line = 0;
  for await (const text of splitLines(readTextChunks(path), path)) {
    const located = parseJsonLine(text, ++line);
    if (located !== undefined) yield located;
  }
}

async function* jsonList(path: string): AsyncGenerator<Located> {
  let text = "";
  for await (const chunk of readTextChunks(path)) text += chunk;
  const list = parseJsonList(text);
  if ("problem" in list)
    throw new InputError(`${path}: ${list.problem}. Write one JSON object a line and name the file .jsonl, or put the rows into one list.`);
  yield* list;
}

/** The separator of the heading line: the one of tab, semicolon and comma that occurs most. */
function delimiterOf(heading: string): string {
  const count = (delimiter: string) => heading.split(delimiter).length;
  return ["\t", ";"].reduce((best, one) => (count(one) > count(best) ? one : best), ",");
}

/** Rows of a CSV file as objects by its heading line. Empty cells are empty strings. */
async function* csvRecords(path: string): AsyncGenerator<Located> {
  const first = await firstLine(path);
  const skipped: Located[] = [];
  const parser = parse({
    bom: true,
    columns: (heading: string[]) => heading.map((name) => name.trim()),
    delimiter: delimiterOf(first),
    info: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: (error: CsvError | undefined) => {
      const line = Number(error?.lines ?? 0);
      skipped.push({
        line,
        problem: `expected as many cells as the heading has (${first.slice(0, 60)}): ${error?.message ?? "unreadable"}`,
      });
      return undefined;
    },
  });
  const source = Readable.from(readTextChunks(path));
  source.on("error", (error) => parser.destroy(error));
  try {
    for await (const { record, info } of source.pipe(parser) as AsyncIterable<{ record: Record<string, string>; info: InfoRecord }>) {
      // csv-parse gives the line on which a record ends; line breaks inside its cells lie between that and its beginning.
      const breaks = Object.values(record).reduce((sum, cell) => sum + cell.split("\n").length - 1, 0);
      yield { line: info.lines - breaks, value: record };
      yield* skipped.splice(0);
    }
  } catch (cause) {
    throw cause instanceof InputError ? cause : new InputError(`${path}: is not CSV: ${(cause as Error).message}`, { cause });
  }
  yield* skipped;
}

async function firstLine(path: string): Promise<string> {
  for await (const line of splitLines(readTextChunks(path), path)) if (line.trim() !== "") return line;
  return "";
}

/** What the file is taken for: by its name, and for .json and unknown names by how it begins. */
async function formatOf(path: string): Promise<FileFormat> {
  const extension = extname(path).toLowerCase();
  if (extension === ".csv" || extension === ".tsv") return "csv";
  if (extension === ".jsonl" || extension === ".ndjson") return "jsonl";
  const start = (await firstLine(path)).trimStart();
  if (start.startsWith("[")) return "json";
  if (start.startsWith("{")) return (await isWholeJson(path)) ? "json" : "jsonl";
  if (start === "") throw new InputError(`${path}: is empty; expected rows in JSONL, JSON or CSV.`);
  throw new InputError(
    `${path}: expected a JSONL, JSON or CSV file (.jsonl, .json, .csv), found a file that begins with ${JSON.stringify(start.slice(0, 40))}.`,
  );
}

/** True for a file that begins with an object which its first line does not close: one JSON value over many lines. */
async function isWholeJson(path: string): Promise<boolean> {
  const located = parseJsonLine(await firstLine(path), 1);
  return located !== undefined && "problem" in located;
}

function reader(format: FileFormat, path: string): AsyncGenerator<Located> {
  switch (format) {
    case "jsonl":
      return jsonLines(path);
    case "json":
      return jsonList(path);
    case "csv":
      return csvRecords(path);
  }
}

/**
 * Reads the rows of a JSONL, JSON or CSV file and recognises them by their keys. A byte order mark, CRLF and blank lines are
 * taken in stride.
 * @throws InputError `FILE:LINE: expected …, found …` for each bad row (the first ten), or when the file holds no row.
 */
export async function readRows(path: string): Promise<ReadRows> {
  return readRowsAs<SourceRow>(path, recogniseRow);
}

/** Reads the rows of a file as `readRows` does, recognised by the rules of a task. */
export async function readRowsAs<Row extends { readonly source: RowSource }>(
  path: string,
  recognise: (value: unknown) => Recognised<Row>,
): Promise<ReadRows<Row>> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw readProblem(path, cause);
  });
  const format = await formatOf(path);
  if (format === "json" && size > maxJsonBytes) {
    throw new InputError(
      `${path}: has ${size} bytes; a .json file may have ${maxJsonBytes}. Write it as JSONL, which is read line by line.`,
    );
  }
  const rows: Row[] = [];
  const problems: string[] = [];
  let bad = 0;
  for await (const located of reader(format, path)) {
    const result = "problem" in located ? located : recognise(located.value);
    if ("problem" in result) {
      if (++bad <= namedProblems) problems.push(`${path}:${located.line}: ${result.problem}`);
    } else rows.push({ ...result, source: { file: path, line: located.line } } as Row);
  }
  if (bad > 0) throw new InputError([...problems, ...(bad > namedProblems ? [`… and ${bad - namedProblems} more rows.`] : [])].join("\n"));
  if (rows.length === 0) throw new InputError(`${path}: has no rows; expected rows in JSONL, JSON or CSV.`);
  return { format, rows };
}
