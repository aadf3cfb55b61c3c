import { statfs } from "node:fs/promises";
import { RunError } from "../../errors.js";

/** Left free on the disk beside what is written. */
const SPARE_BYTES = 64 * 2 ** 20;

/**
 * Says before a long work, not after it, that the disk is too small for its result. Throws RunError.
 *
 * @param folder an existing one
 * @param what what is to be written, as the subject of a sentence: "the merged model"
 * @param bytes its size
 * @param advice what to do, beside making room
 */
export async function checkRoom(folder: string, what: string, bytes: number, advice: string): Promise<void> {
  const disk = await statfs(folder).catch(() => undefined); // not every file system can tell
  if (disk === undefined) return;
  const free = disk.bavail * disk.bsize;
  if (free >= bytes + SPARE_BYTES) return;
  throw new RunError(
    `${folder}: ${what} needs ${megabytes(bytes)} and ${megabytes(SPARE_BYTES)} of room to spare, ${megabytes(free)} are free. Make room or ${advice}.`,
  );
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MB`;
}
