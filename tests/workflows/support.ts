import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach } from "vitest";
import type { WorkerContext } from "../../src/workflows/node/worker/context.js";

/** The whole small model that tests/golden/tiny_chat.py makes. */
export const TINY_CHAT = fileURLToPath(new URL("../golden/tiny-chat", import.meta.url));

const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** An empty folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "lorikeet-test-"));
  folders.push(folder);
  return folder;
}

/** Rows as a .jsonl file in a temporary folder. */
export async function jsonlFile(rows: readonly unknown[], name = "rows.jsonl"): Promise<string> {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

/** What a worker's method is handed; the events that it emits are kept. */
export function fakeContext(signal = new AbortController().signal): WorkerContext & { readonly events: unknown[] } {
  const events: unknown[] = [];
  return { signal, events, emit: (event) => void events.push(event) };
}
