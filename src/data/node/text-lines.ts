import { createReadStream } from "node:fs";
import { InputError } from "../../errors.js";

/** A longer line is no row of a data set; it is most likely a file of another kind. */
const maxLineLength = 64 * 1024 * 1024;

/** Says what a read failure means to the one who named the file. */
export function readProblem(path: string, cause: unknown): InputError {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === "ENOENT") return new InputError(`${path}: no such file.`, { cause });
  if (code === "EISDIR") return new InputError(`${path}: is a folder; expected a JSONL, JSON or CSV file.`, { cause });
  if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") {
    return new InputError(`${path}: is not UTF-8 text. Save it as UTF-8 (spreadsheets: "CSV UTF-8"), or unpack it if it is compressed.`, {
      cause,
    });
  }
  return new InputError(`${path}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}

/** The text of a UTF-8 file in pieces, without a byte order mark. @throws InputError when the file is missing or not UTF-8. */
export async function* readTextChunks(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of createReadStream(path)) yield decoder.decode(chunk as Uint8Array, { stream: true });
    yield decoder.decode();
  } catch (cause) {
    throw readProblem(path, cause);
  }
}

/** The lines of a text, without their line ends (LF or CRLF). */
export async function* splitLines(chunks: AsyncIterable<string>, path: string): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > maxLineLength)
      throw new InputError(`${path}: has a line of more than ${maxLineLength} characters; is it a JSONL or CSV file?`);
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  }
  if (rest !== "") yield rest;
}
