import { execFile } from "node:child_process";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { type Finding, runCampaign, type Tally } from "../../tools/fuzz/campaign.js";
import type { Reader } from "../../tools/fuzz/input.js";
import { createSandbox, type Sandbox } from "../../tools/fuzz/sandbox.js";
import type { Ending } from "../../tools/fuzz/subject-process.js";

/** Inputs of each reader, and, of those that are of bytes for the most part, how many are refused at least. */
const inputs = {
  safetensors: { inputs: 800, refused: 600 },
  gguf: { inputs: 1000, refused: 500 },
  "torch-bin": { inputs: 1000, refused: 500 },
  parquet: { inputs: 48, refused: 24 },
  npy: { inputs: 40, refused: 1 },
  "adapter_config.json": { inputs: 40, refused: 1 },
  "chat-template": { inputs: 40, refused: 1 },
  "run.yaml": { inputs: 40, refused: 1 },
  rows: { inputs: 40, refused: 1 },
};

async function fuzz(...options: string[]): Promise<Tally[]> {
  const { stdout } = await promisify(execFile)("npm", ["run", "--silent", "fuzz", "--", ...options, "--json"]);
  const lines = stdout.trim().split("\n");
  return lines.map((line): Tally => JSON.parse(line));
}

test("mutated files of every kind are read, or refused in words", { timeout: 120_000 }, async () => {
  const readers = Object.entries(inputs).map(([reader, { inputs: count }]) => `${reader}:${count}`);
  const tallies = await fuzz("--reader", readers.join(","), "--seed", "7");
  expect(tallies.map(({ reader, findings }) => ({ reader, findings }))).toEqual(
    Object.keys(inputs).map((reader) => ({ reader, findings: [] })),
  );
  for (const [index, { inputs: count, refused }] of Object.values(inputs).entries()) {
    const tally = tallies[index];
    expect((tally?.read ?? 0) + (tally?.refused ?? 0), tally?.reader).toBe(count);
    expect(tally?.refused, tally?.reader).toBeGreaterThanOrEqual(refused);
  }
});

test("what earlier campaigns found is refused in words", { timeout: 60_000 }, async () => {
  const tallies = (await fuzz("--replay", "tests/fuzz/found")).filter(({ inputs: count }) => count > 0);
  expect(tallies.flatMap(({ findings }) => findings)).toEqual([]);
  expect(tallies.reduce((sum, { inputs: count }) => sum + count, 0)).toBe(readdirSync("tests/fuzz/found").length);
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
