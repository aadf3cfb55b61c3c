import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InputError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { errorCode, explainWriteFailure } from "./atomic-file.js";

/**
 * Makes a folder that appears whole or not at all: `fill` writes into another one beside it. Returns its absolute path.
 *
 * @param out it must not exist, or be empty
 * @param what what it will hold, for messages
 * @throws InputError where something is in the way; what `fill` throws, with a full disk in words.
 */
export async function writeFolderAtomic(out: string, what: string, fill: (folder: string) => Promise<void>): Promise<string> {
  await refuseOccupied(out, what);
  const folder = resolve(out);
  const unfinished = join(dirname(folder), `.${basename(folder)}.unfinished`);
  try {
    await rm(unfinished, { recursive: true, force: true });
    await makeFolder(dirname(folder));
    await mkdir(unfinished); // alone: where nothing can be made (/proc), Node's recursive one tries without end
    await fill(unfinished);
    await rmdir(folder).catch(() => undefined); // an empty one
    await rename(unfinished, folder);
    return folder;
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true }).catch(() => undefined);
    throw explainWriteFailure(folder, error);
  }
}

async function refuseOccupied(out: string, what: string): Promise<void> {
  try {
    if ((await readdir(out)).length > 0) throw new InputError(`${out} is not empty. Choose a new folder for ${what}, or empty this one.`);
  } catch (error) {
    if (errorCode(error) === "ENOTDIR") throw new InputError(`${out} is a file. Choose a new folder for ${what}.`, { cause: error });
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
