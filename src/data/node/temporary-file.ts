import { randomUUID } from "node:crypto";
import { mkdirSync, openSync, statfsSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RunError } from "../../errors.js";
import { lorikeetCacheFolder } from "../../hub/node/settings.js";

/** A file without a name: no other program finds it, and it takes no room once its descriptor is closed or its process has ended. */
export interface TemporaryFile {
  readonly descriptor: number;
  /** Appends bytes. @throws RunError where the disk is full. */
  write(bytes: Uint8Array): void;
}

/**
 * Makes a temporary file that only this user may read.
 *
 * @param purpose what it holds, for messages: "rows that do not fit into memory"
 * @throws RunError where the folder takes no file.
 */
export function openTemporaryFile(purpose: string): TemporaryFile {
  const folder = temporaryFolder();
  const descriptor = explained(folder, purpose, () => {
    if (folder === lorikeetCacheFolder()) mkdirSync(folder, { recursive: true });
    const path = join(folder, `.lorikeet-${randomUUID()}.tmp`);
    const opened = openSync(path, "wx+", 0o600);
    unlinkSync(path);
    return opened;
  });
  return {
    descriptor,
    write: (bytes) =>
      explained(folder, purpose, () => {
        for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
      }),
  };
}

/** The type that Linux gives to file systems in memory (statfs(2)). */
const TMPFS_MAGIC = 0x01021994;

/** Where temporary files lie: in the folder that TMPDIR names, else in the system's, but where that is in memory in Lorikeet's cache. */
function temporaryFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const folder = tmpdir();
  if (env.TMPDIR || env.TEMP || env.TMP) return folder;
  try {
    return statfsSync(folder).type === TMPFS_MAGIC ? lorikeetCacheFolder(env) : folder;
  } catch {
    return folder; // what is wrong with it is said when a file is made there
  }
}

function explained<T>(folder: string, purpose: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RunError(
      `${folder}: ${purpose} cannot be kept there for as long as the run lasts (${reason}). Free some room, or name another folder with the environment variable TMPDIR.`,
      { cause },
    );
  }
}
