import { randomBytes } from "node:crypto";
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { RunError } from "../../errors.js";

// A file is written under a temporary name beside its place, synced, and renamed: at any moment, a kill or a full disk
// included, the old file or the new one is there, whole.

/** Where the bytes of a new file go, in order. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** Temporary files of another machine (a shared folder) are taken for left over after this. */
const STALE_MILLISECONDS = 24 * 60 * 60 * 1000;
/** Bytes given to one write call. */
const WRITE_BYTES = 2 ** 26;
/** The name of this machine, as far as a file name can hold it. */
const machine =
  hostname()
    .replace(/[^A-Za-z0-9-]/g, "")
    .slice(0, 32) || "host";
/** `.NAME.MACHINE.PROCESS.RANDOM.tmp` */
const temporaryName = /^\.(.+)\.([A-Za-z0-9-]+)\.(\d+)\.[0-9a-f]{12}\.tmp$/;

/** Writes a whole file. A failure leaves what was there before, and nothing else. */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await writeStreamAtomic(path, (sink) => sink.write(typeof data === "string" ? new TextEncoder().encode(data) : data));
}

/** Writes a file piece by piece: `produce` hands its bytes to the sink; when it throws, nothing is left behind. */
export async function writeStreamAtomic(path: string, produce: (sink: FileSink) => Promise<void>): Promise<void> {
  await removeStaleTemporaries(dirname(path), basename(path));
  const temporary = join(dirname(path), `.${basename(path)}.${machine}.${process.pid}.${randomBytes(6).toString("hex")}.tmp`);
  // Only failures of this file's own writing are put into words: `produce` may fail at reading another.
  const explained = async <T>(step: Promise<T>): Promise<T> =>
    await step.catch((error: unknown) => {
      throw explainWriteFailure(path, error);
    });
  const handle = await explained(open(temporary, "wx"));
  try {
    try {
      await produce({ write: (bytes) => explained(writeAll(handle, bytes)) });
      await explained(handle.sync());
    } finally {
      await handle.close();
    }
    await explained(rename(temporary, path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncFolder(dirname(path));
}

/**
 * Removes what killed runs left in a folder: temporary files whose process is gone, or, written on another machine, that have
 * not changed for a day. With `target`, only those of that file. Returns the names removed.
 */
export async function removeStaleTemporaries(folder: string, target?: string): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const [, file, host, pid] = temporaryName.exec(name) ?? [];
    if (file === undefined || (target !== undefined && file !== target)) continue;
    const path = join(folder, name);
    const abandoned = host === machine ? !isAlive(Number(pid)) : await isOld(path);
    if (!abandoned) continue;
    await rm(path, { force: true }).catch(() => undefined);
    removed.push(name);
  }
  return removed;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.byteLength - done, WRITE_BYTES));
    done += bytesWritten;
  }
}

/** Makes the rename itself durable. Not every system can sync a folder (Windows cannot); the file is whole either way. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // Only durability after a power cut is weaker here.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0); // signal 0 asks, and sends nothing
    return true;
  } catch (error) {
    return errorCode(error) === "EPERM"; // it runs, as another user
  }
}

async function isOld(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > STALE_MILLISECONDS;
}

/** What the system says about a failed write, in words; other errors pass unchanged. */
export function explainWriteFailure(path: string, error: unknown): unknown {
  switch (errorCode(error)) {
    case "ENOSPC":
    case "EDQUOT":
    case "EFBIG":
      return new RunError(
        `${path} was not written: the disk or the quota is full. What was there before is unchanged. Make room and run again.`,
        {
          cause: error,
        },
      );
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new RunError(`${path} was not written: writing there is not allowed. Choose another folder or change its permissions.`, {
        cause: error,
      });
    case "ENOENT":
    case "ENOTDIR":
      return new RunError(`${path} was not written: its folder does not exist. Create it or choose another.`, { cause: error });
    case "EEXIST":
      return new RunError(`${path} was not written: a file of that name is in the way. Remove it or choose another name.`, {
        cause: error,
      });
    case "EISDIR":
      return new RunError(`${path} was not written: a folder of that name is in the way. Remove it or choose another name.`, {
        cause: error,
      });
    default:
      return error;
  }
}

/** The system's code of a failed call (`ENOSPC`), where the error has one. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
