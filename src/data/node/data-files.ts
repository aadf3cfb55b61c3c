import { createReadStream, read as readCallback, Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { pipeline as connect } from "node:stream";
import { promisify } from "node:util";
import { createGunzip } from "node:zlib";
import { InputError, RunError } from "../../errors.js";
import type { ToDecode } from "./parquet/protocol.js";
import { openTemporaryFile } from "./temporary-file.js";

const read = promisify(readCallback);

/** Read at a time, as streams of files do. */
const PIECE_BYTES = 64 * 1024;

/** The name that stands for standard input. */
export const STANDARD_INPUT = "-";

/** Names by which a file of a folder counts as one with rows; `.gz` may follow. */
const rowFiles = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"] as const;

/** A file with rows. It can be read several times, in pieces, from its start. */
export interface DataFile {
  /** What messages call it. */
  readonly name: string;
  /** The ending of its name in lower case, without `.gz`; empty where it has none. */
  readonly extension: string;
  /** Whether it came without a name: what it holds is told by its content alone. */
  readonly isNameless: boolean;
  /** Its bytes as they are stored. */
  readonly stored: () => AsyncIterable<Uint8Array>;
  /** Where they are, for reading here and there. */
  readonly place: ToDecode;
}

/** Fetches the data set that a name means; undefined for what is no such name. */
export type FetchDataSet = (name: string) => Promise<readonly { readonly name: string; readonly path: string }[] | undefined>;

/**
 * The file that a path names, or those of a folder with the endings of row files, in the order of their names; `-` is standard input. What
 * is neither may be the name of a data set.
 */
export async function findDataFiles(path: string, fetchDataSet?: FetchDataSet): Promise<readonly [DataFile, ...DataFile[]]> {
  if (path === STANDARD_INPUT) return [await spoolStandardInput()];
  const found = await stat(path).catch((cause: unknown) => cause);
  if (!(found instanceof Stats)) {
    const [fetched, ...more] = ((await fetchDataSet?.(path)) ?? []).map((file) => dataFile(file.path, file.name));
    if (fetched !== undefined) return [fetched, ...more];
    throw readProblem(path, found);
  }
  if (!found.isDirectory()) return [regular(path, found)];
  const entries = await readdir(path, { withFileTypes: true }).catch((cause: unknown) => {
    throw readProblem(path, cause);
  });
  // A link counts by what it is named, as the Hub's cache is made of links.
  const names = entries.filter((entry) => !entry.isDirectory() && isRowFile(entry.name)).map(({ name }) => join(path, name));
  const [first, ...rest] = await Promise.all(names.sort().map(async (name) => regular(name, await statOf(name))));
  if (first !== undefined) return [first, ...rest];
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const inside = folders.length === 0 ? "" : ` Folders in it are not searched: ${folders.sort().slice(0, 10).join(", ")}.`;
  throw new InputError(`${path}: is a folder without files of rows (${rowFiles.join(", ")}, each also with .gz).${inside}`);
}

const statOf = (path: string) =>
  stat(path).catch((cause: unknown) => {
    throw readProblem(path, cause);
  });

/** A file is read several times, which a pipe cannot be, and to its end, which a device may not have. */
function regular(path: string, found: Stats): DataFile {
  if (found.isFile()) return dataFile(path);
  throw new InputError(
    `${path}: expected a file, found a ${found.isDirectory() ? "folder" : "pipe or device"}. Give - to read standard input.`,
  );
}

const isRowFile = (name: string) => !name.startsWith(".") && rowFiles.some((ending) => extensionOf(name) === ending);

const extensionOf = (name: string) => extname(name.toLowerCase().replace(/\.gz$/, ""));

const dataFile = (path: string, name = path): DataFile => ({
  name,
  extension: extensionOf(name),
  isNameless: false,
  stored: () => createReadStream(path),
  place: { name, path },
});

/**
 * Standard input as a file that can be read again: what comes is written to a temporary one. Read by its descriptor, since a worker's own
 * `process.stdin` is another stream.
 */
async function spoolStandardInput(): Promise<DataFile> {
  const name = "standard input";
  const { descriptor, write } = openTemporaryFile(name); // closed by the end of the thread
  try {
    for await (const piece of createReadStream("", { fd: 0, autoClose: false })) write(piece as Uint8Array);
  } catch (cause) {
    if (cause instanceof RunError) throw cause;
    throw new InputError(`${name} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  return { name, extension: "", isNameless: true, stored: () => readDescriptor(descriptor), place: { name, descriptor } };
}

/** The file of an open descriptor from its start; a stream over it would close it. */
async function* readDescriptor(descriptor: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; ; ) {
    const { bytesRead, buffer } = await read(descriptor, new Uint8Array(PIECE_BYTES), 0, PIECE_BYTES, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

/** The bytes of a file, unpacked where they are gzip (RFC 1952: they begin with 1f 8b), whatever its name. */
export async function* readBytes(file: DataFile): AsyncGenerator<Uint8Array> {
  let isGzip: boolean | undefined;
  for await (const piece of file.stored()) {
    isGzip ??= piece[0] === 0x1f && piece[1] === 0x8b;
    if (isGzip) break;
    yield piece;
  }
  if (isGzip !== true) return;
  const unpacked = createGunzip();
  // What goes wrong on either side comes out of `unpacked`.
  connect(file.stored(), unpacked, () => undefined);
  yield* unpacked;
}

/** Says what a read failure means to the one who named the file. */
export function readProblem(name: string, cause: unknown): InputError {
  if (cause instanceof InputError) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === "ENOENT") return new InputError(`${name}: no such file.`, { cause });
  if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") {
    return new InputError(
      `${name}: is not UTF-8 text. Save it as UTF-8 (spreadsheets: "CSV UTF-8"), or unpack it if it is compressed otherwise than by gzip.`,
      { cause },
    );
  }
  if (code?.startsWith("Z_") === true) {
    return new InputError(`${name}: its gzip data are damaged or cut short (${(cause as Error).message}). Fetch or pack it again.`, {
      cause,
    });
  }
  return new InputError(`${name}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
