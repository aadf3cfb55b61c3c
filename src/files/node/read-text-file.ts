import { readFile, stat } from "node:fs/promises";
import { InputError } from "../../errors.js";

/** Configurations, vocabularies and templates: the largest published tokenizer.json has 35 MB. */
const MAX_TEXT_BYTES = 256 * 2 ** 20;

/**
 * The text of a file, or undefined where there is none. What has no end is not begun: a folder, a device or a pipe is refused, and so is a
 * file of more than so many bytes.
 *
 * @throws InputError for these, for what the system does not let read, and for what is no UTF-8.
 */
export async function readTextFile(path: string, mostBytes = MAX_TEXT_BYTES): Promise<string | undefined> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new InputError(`${path}: expected a file, found a ${found.isDirectory() ? "folder" : "device or pipe"}.`);
    if (found.size > mostBytes)
      throw new InputError(`${path}: has ${found.size} bytes; at most ${mostBytes} are read. Is it another file?`);
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") throw new InputError(`${path}: is not UTF-8 text. Fetch it again.`, { cause });
    throw new InputError(`${path}: cannot be read: ${message}`, { cause });
  }
}

/** The same of a file that must be there. */
export async function readRequiredText(path: string, mostBytes?: number): Promise<string> {
  const text = await readTextFile(path, mostBytes);
  if (text === undefined) throw new InputError(`${path}: no such file.`);
  return text;
}
