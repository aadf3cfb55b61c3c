import { basename, dirname } from "node:path";
import { RunError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import type { SafetensorsHeader } from "../safetensors.js";
import type { MappedTensor } from "./mapped-weights.js";

/**
 * What a file of the cache holds. The file is written where it is not there or does not hold what is wanted.
 *
 * @param open undefined where the file has to be written
 * @throws RunError when the file cannot be read just after it was written
 */
export async function openOrWrite<T>(path: string, open: () => Promise<T | undefined>, write: () => Promise<void>): Promise<T> {
  const cached = await open();
  if (cached !== undefined) return cached;
  await makeFolder(dirname(path));
  await write();
  const written = await open();
  if (written === undefined) throw new RunError(`${path} was written, but cannot be read. Empty the cache and try again.`);
  return written;
}

/** Float32 tensors of a file of the cache, by name; undefined where one is missing. */
export function mappedFloats(
  path: string,
  { places }: SafetensorsHeader,
  names: readonly string[],
): ReadonlyMap<string, MappedTensor> | undefined {
  const [folder, file] = [dirname(path), basename(path)];
  const floats = new Map<string, MappedTensor>();
  for (const name of names) {
    const place = places.get(name);
    if (place === undefined) return undefined;
    const { shape, offset, byteLength } = place;
    floats.set(name, { name, dtype: "float32", shape, folder, file, offset, byteLength });
  }
  return floats;
}
