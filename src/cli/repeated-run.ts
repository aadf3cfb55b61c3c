import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * The file of options that a run left in its own folder, read to repeat the run: that folder is full, so the repetition goes beside it,
 * to the first free of `out-2`, `out-3`, … Other files are handed back as they are, and so is a run that is to be resumed.
 *
 * @param path where the file stands
 * @param flags what the command line says, which wins over the file
 */
export function besideTheFirst(
  path: string,
  file: Readonly<Record<string, unknown>>,
  flags: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { out } = file;
  const isOwn = typeof out === "string" && resolve(out) === resolve(dirname(path));
  if (!isOwn || flags.out !== undefined || flags.resume === true) return file;
  const plain = out.replace(/[\\/]+$/, "");
  let number = 2;
  while (existsSync(`${plain}-${number}`)) number++;
  return { ...file, out: `${plain}-${number}` };
}
