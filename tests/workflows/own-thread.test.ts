import { join } from "node:path";
import { doctor, inspect } from "lorikeet";
import { expect, test } from "vitest";
import { TINY_CHAT } from "./support.js";

// As an application calls them: by the package's name, in workers.

test("the caller's thread turns freely while doctor measures the processor", async () => {
  let measuring = false;
  let turns = 0;
  const turn = () => {
    if (!measuring) return;
    turns++;
    setImmediate(turn);
  };
  const stop = new AbortController();
  const report = doctor({
    signal: stop.signal,
    onProgress: ({ task }) => {
      measuring = task === "measuring the processor";
      if (measuring) turn();
      else stop.abort(new Error("seen enough"));
    },
  });
  await expect(report).rejects.toThrow("seen enough");
  // Products on the caller's own thread would leave it one turn each: some dozens in all.
  expect(turns).toBeGreaterThan(2000);
});

test("inspect ends with its signal's reason", async () => {
  const reason = new Error("enough");
  await expect(inspect(join(TINY_CHAT, "adapter"), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
