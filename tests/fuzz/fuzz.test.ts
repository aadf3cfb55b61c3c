import { execFile } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { type Finding, runCampaign } from "../../tools/fuzz/campaign.js";
import type { Reader } from "../../tools/fuzz/input.js";
import { createSandbox, type Sandbox } from "../../tools/fuzz/sandbox.js";
import type { Ending } from "../../tools/fuzz/subject-process.js";

const INPUTS = 40;

test("mutated files of every kind are read, or refused in words", { timeout: 120_000 }, async () => {
  const readers = ["safetensors", "gguf", "npy", "adapter_config.json", "chat-template", "run.yaml", "rows"];
  const { stdout } = await promisify(execFile)("npm", [
    "run",
    "--silent",
    "fuzz",
    "--",
    ...["--reader", readers.join(","), "--inputs", String(INPUTS), "--seed", "7", "--json"],
  ]);
  const tallies = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(tallies.map(({ reader, findings }) => ({ reader, findings }))).toEqual(readers.map((reader) => ({ reader, findings: [] })));
  for (const { read, refused } of tallies) expect(read + refused).toBe(INPUTS);
  expect(tallies.every(({ refused }) => refused > 0)).toBe(true);
});

describe("what is a fault", () => {
  const reader: Reader = { name: "any", seeds: async () => [new Map([["file", new Uint8Array(64)]])], read: async () => {} };
  let sandbox: Sandbox;
  afterEach(() => sandbox.remove());

  async function findingsOf(ending: Ending, act: (sandbox: Sandbox) => void = () => {}): Promise<string[]> {
    sandbox = createSandbox();
    let asked = 0;
    const subject = {
      ask: async () => {
        if (asked++ === 0) return { outcome: "read", grown: 0, seconds: 0, polluted: [] } as const; // the whole file
        act(sandbox);
        return ending;
      },
      stop: () => {},
    };
    const found: Finding[] = [];
    await runCampaign(reader, subject, sandbox, { seed: 1, inputs: 1, from: 0, keep: undefined, onFinding: (one) => found.push(one) });
    return found.map(({ what }) => what);
  }
  const read: Ending = { outcome: "read", grown: 0, seconds: 0, polluted: [] };

  test("not: to be read, or to be refused in words", async () => {
    expect(await findingsOf(read)).toEqual([]);
    expect(await findingsOf({ ...read, outcome: "refused", words: "f.npy: expected 64 bytes, found 12." })).toEqual([]);
    expect(await findingsOf(read, ({ out }) => writeFileSync(out, "what was asked for"))).toEqual([]);
  });

  test.each<[string, Ending, RegExp]>([
    ["another exception", { ...read, outcome: "thrown", words: "TypeError: x" }, /thrown: TypeError/],
    ["JavaScript's own words", { ...read, outcome: "refused", words: "Cannot read properties of undefined" }, /without words of our own/],
    ["no words", { ...read, outcome: "refused", words: " " }, /without words of our own/],
    ["a message as long as the file", { ...read, outcome: "refused", words: "x".repeat(30_000) }, /a message of 30000 characters/],
    ["half a gigabyte", { ...read, grown: 2 ** 29 }, /grew by 512 MiB/],
    ["a name on every object", { ...read, polluted: ["isAdmin"] }, /isAdmin/],
    ["the end of the process", { outcome: "ended", words: "The process ended (SIGABRT)." }, /ended/],
    ["no end", { outcome: "hangs", words: "The reader did not come to an end." }, /hangs/],
  ])("%s", async (_, ending, what) => {
    expect(await findingsOf(ending)).toEqual([expect.stringMatching(what)]);
  });

  test("a file beside the output folder, and one that is gone", async () => {
    const found = await findingsOf(read, ({ base, input }) => {
      writeFileSync(join(base, "escaped"), "");
      rmSync(input, { recursive: true });
    });
    expect(found.join()).toMatch(/escaped was written/);
    expect(found.join()).toMatch(/was removed/);
  });
});
