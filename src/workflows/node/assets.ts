import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** The path of a file that comes with the package, such as `demo/cron-train.jsonl`. */
export function assetPath(name: string): string {
  return fileURLToPath(new URL(`../../../assets/${name}`, import.meta.url));
}

export function readAsset(name: string): Promise<string> {
  return readFile(assetPath(name), "utf8");
}
