import { readFile } from "node:fs/promises";

/** The version of this package, such as 0.1.0. */
export async function packageVersion(): Promise<string> {
  const { version }: { version: string } = JSON.parse(await readFile(new URL("../../../package.json", import.meta.url), "utf8"));
  return version;
}
