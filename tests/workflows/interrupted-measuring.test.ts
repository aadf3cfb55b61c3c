import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import type { TrainEvent } from "../../src/workflows/api.js";
import { startLorikeet } from "../support/built-command.js";
import { jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";

// The command as its own process, whose signal crosses into the worker in which the model is measured.

test("Ctrl-C while the trade-off is measured ends the command with 130; the adapter is kept", async () => {
  const out = join(await temporaryFolder(), "run");
  // A hundred held-out questions, of which each is answered by many tokens: the measuring goes on well after its first progress.
  const answer = (row: number) => `${row} and ${row} and ${row} and ${row}`;
  const data = await jsonlFile(Array.from({ length: 1000 }, (_, row) => ({ prompt: `number ${row}`, completion: answer(row) })));
  const options = ["--model", TINY_CHAT, "--data", data, "--out", out, "--steps", "2", "--json"];
  const child = startLorikeet("train", ...options);
  child.stderr.resume();
  const ended = once(child, "exit");
  const events: TrainEvent[] = [];
  for await (const line of createInterface(child.stdout)) {
    const event: TrainEvent = JSON.parse(line);
    events.push(event);
    const measuring = event.type === "progress" && event.task === "measuring with the adapter";
    if (measuring && !child.killed) child.kill("SIGINT");
  }
  expect(await ended).toEqual([130, null]);
  expect(child.killed).toBe(true);
  expect(events.some(({ type }) => type === "report")).toBe(false);
  expect(events.at(-1)).toMatchObject({ type: "done", reason: "interrupted", steps: 2, adapter: join(out, "adapter") });
});
