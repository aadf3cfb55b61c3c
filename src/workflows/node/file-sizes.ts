import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** What a workflow wrote. */
export interface WrittenFiles {
  /** The folder or the file, absolute. */
  readonly out: string;
  readonly files: readonly string[];
  readonly bytes: number;
  /** What a person should know. */
  readonly notes?: readonly string[];
}

/** The names of the files right in a folder. */
export async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/** Files of a folder, and their bytes together. */
export async function fileSizes(folder: string, files: readonly string[]): Promise<Pick<WrittenFiles, "files" | "bytes">> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(folder, file))).size));
  return { files, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}
