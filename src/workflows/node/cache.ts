import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { lorikeetCacheFolder } from "../../hub/node/settings.js";
import { errorCode } from "../../weights/node/atomic-file.js";
import type { CacheResult } from "../api.js";

/** What Lorikeet puts into its cache folder; anything else there is not ours to remove. */
const parts = ["weights", "models", "data-sets"];

/**
 * Lorikeet's own cache, converted weights and models from a second source: `show` tells its size, `clear` empties it and tells
 * what was freed. Downloads from the Hub lie in the Hugging Face cache, which other programs share, and stay. A run that is
 * using a cached file goes on with it.
 */
export async function cache(action: "show" | "clear"): Promise<CacheResult> {
  const folder = lorikeetCacheFolder();
  const bytes = await folderBytes(folder);
  if (action === "show") return { folder, bytes };
  for (const part of parts) await rm(join(folder, part), { recursive: true, force: true });
  return { folder, bytes: bytes - (await folderBytes(folder)) };
}

/** Bytes of all files in a folder; 0 where there is none. */
export async function folderBytes(folder: string): Promise<number> {
  try {
    let bytes = 0;
    for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
      if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0;
    }
    return bytes;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return 0;
    throw error;
  }
}
