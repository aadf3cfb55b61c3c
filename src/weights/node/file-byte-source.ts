import { open, realpath, stat } from "node:fs/promises";
import { InputError } from "../../errors.js";
import { type ByteSource, checkRange } from "../byte-source.js";
import { errorCode } from "./atomic-file.js";

/** One read call asks for at most this much; Node refuses more than 2 GiB. */
const MAX_READ_BYTES = 2 ** 30;

/**
 * A file on disk. It is opened for each read, so that there is nothing to close and nothing to leak; a file that changes size
 * between reads is noticed.
 */
export class FileByteSource implements ByteSource {
  readonly name: string;
  /** The file itself, symbolic links resolved. */
  readonly path: string;
  readonly size: number;
  /** Last change, milliseconds since 1970. */
  readonly modified: number;

  private constructor(name: string, path: string, size: number, modified: number) {
    this.name = name;
    this.path = path;
    this.size = size;
    this.modified = modified;
  }

  static async open(path: string): Promise<FileByteSource> {
    try {
      const real = await realpath(path);
      const found = await stat(real);
      if (!found.isFile()) throw new InputError(`${path} is not a file.`); // opening a pipe would wait for its writer
      await (await open(real, "r")).close(); // it may be read
      return new FileByteSource(path, real, found.size, found.mtimeMs);
    } catch (cause) {
      if (cause instanceof InputError) throw cause;
      if (errorCode(cause) === "ENOENT") throw new InputError(`${path} cannot be read: it does not exist.`, { cause });
      throw new InputError(`${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    }
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const out = new Uint8Array(length);
    const handle = await open(this.path, "r");
    try {
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(out, done, Math.min(length - done, MAX_READ_BYTES), offset + done);
        if (bytesRead === 0) throw new InputError(`${this.name} became shorter while it was read. Try again when nothing writes to it.`);
        done += bytesRead;
      }
    } finally {
      await handle.close();
    }
    return out;
  }
}
