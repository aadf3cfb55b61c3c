import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { RunError } from "../../errors.js";

/**
 * What a file of the cache holds. The file is written where it is not there or does not hold what is wanted.
 *
 * @param open undefined where the file has to be written
 * @throws RunError when the file cannot be read just after it was written
 */
export async function openOrWrite<T>(path: string, open: () => Promise<T | undefined>, write: () => Promise<void>): Promise<T> {
  const cached = await open();
  if (cached !== undefined) return cached;
  await mkdir(dirname(path), { recursive: true });
  await write();
  const written = await open();
  if (written === undefined) throw new RunError(`${path} was written, but cannot be read. Empty the cache and try again.`);
  return written;
}
