import { InputError } from "../../errors.js";
import { type DataFile, readBytes, readProblem } from "./data-files.js";

/** A longer line is no row of a data set; it is most likely a file of another kind. */
const maxLineLength = 64 * 1024 * 1024;

/** The text of a UTF-8 file in pieces, without a byte order mark. @throws InputError when the file is missing or not UTF-8. */
export async function* readTextChunks(file: DataFile): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of readBytes(file)) yield decoder.decode(chunk, { stream: true });
    yield decoder.decode();
  } catch (cause) {
    throw readProblem(file.name, cause);
  }
}

/** The lines of a text, without their line ends (LF or CRLF). */
export async function* splitLines(chunks: AsyncIterable<string>, name: string): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > maxLineLength)
      throw new InputError(`${name}: has a line of more than ${maxLineLength} characters; is it a JSONL or CSV file?`);
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  }
  if (rest !== "") yield rest;
}
