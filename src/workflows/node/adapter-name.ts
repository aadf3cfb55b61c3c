import { resolve, sep } from "node:path";
import { runFolder } from "./run-folder.js";

/** A run's folders, by their names in it. */
const RUN = runFolder("");

/**
 * What people call an adapter: the name of its folder. A run's `adapter` has the run's name, its `last` is `RUN/last`. The name
 * grows by the folders above until it is none of those taken.
 *
 * @param folder its absolute path
 */
export function nameAdapter(folder: string, taken: readonly string[]): string {
  const parts = resolve(folder)
    .split(sep)
    .filter((part) => part !== "");
  const shown = parts.at(-1) === RUN.adapter && parts.length > 1 ? parts.slice(0, -1) : parts;
  for (let count = shown.at(-1) === RUN.last ? 2 : 1; count <= shown.length; count++) {
    const name = shown.slice(-count).join("/");
    if (!taken.includes(name)) return name;
  }
  return folder;
}
