import { access } from "node:fs/promises";

/** Whether there is a file or a folder at a path, and its folders can be entered. */
export async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
