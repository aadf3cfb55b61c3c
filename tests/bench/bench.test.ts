import { describe, expect, test } from "vitest";
import { cutIntoBatches, decodeBatches, elementsOf, encodeBatches, padIntoBatches, toBatch } from "../../bench/batch-file.js";
import {
  compare,
  disagreeing,
  largestDifference,
  median,
  patienceAfter,
  type RunMeasure,
  tokensPerSecond,
  warmSteps,
} from "../../bench/comparison.js";
import { readOptions } from "../../bench/options.js";
import { deviationsFrom, readRequirements } from "../../bench/python.js";
import { type BenchResult, conditions, remarks, resultPage, resultTable } from "../../bench/result.js";
import { parseRecord, runSide } from "../../bench/side.js";

const stretch = (length: number) => Array.from({ length }, (_, index) => index + 1);

describe("batches", () => {
  test("a stream of ids is cut into full batches, every token learned", () => {
    const batches = cutIntoBatches(stretch(20), 4, 2);
    expect(batches.map((batch) => batch.input_ids)).toEqual([
      [stretch(4), [5, 6, 7, 8]],
      [
        [9, 10, 11, 12],
        [13, 14, 15, 16],
      ],
    ]);
    expect(batches.map((batch) => batch.labels)).toEqual(batches.map((batch) => batch.input_ids));
  });

  test("rows of unequal length are padded to the longest of their batch, prompts and padding unlearned", () => {
    const rows = [
      { ids: [5, 6, 7], supervised: [0, 1, 1] },
      { ids: [8, 9], supervised: [0, 1] },
      { ids: [1], supervised: [0] },
    ];
    expect(padIntoBatches(rows, 2)).toEqual([
      {
        input_ids: [
          [5, 6, 7],
          [8, 9, 0],
        ],
        labels: [
          [-100, 6, 7],
          [-100, 9, -100],
        ],
      },
    ]);
  });

  test("a batch comes back from the file, and its speed counts padding", () => {
    const batches = padIntoBatches(
      [
        { ids: [5, 6, 7], supervised: [0, 1, 1] },
        { ids: [8], supervised: [0] },
      ],
      2,
    );
    expect(decodeBatches(encodeBatches(batches))).toEqual(batches);
    expect(batches.map(elementsOf)).toEqual([6]);
  });

  test("our step learns the tokens that transformers learns: labels shifted by one, -100 left out", () => {
    const batch = toBatch({
      input_ids: [
        [5, 6, 7],
        [8, 9, 0],
      ],
      labels: [
        [-100, 6, 7],
        [8, 9, -100],
      ],
    });
    const { tokens, supervisedCount } = batch;
    expect(supervisedCount).toBe(3);
    expect([...batch.supervisedRows.slice(0, 3)]).toEqual([0n, 1n, BigInt(tokens)]);
    expect([...batch.targets.slice(0, 3)]).toEqual([6n, 7n, 9n]);
  });
});

const run = (losses: readonly number[], seconds: number, peakBytes: number | null = 2e9): RunMeasure => ({
  steps: losses.map((loss, index) => ({ loss, seconds: index === 0 ? 100 : seconds })),
  peakBytes,
  peakOf: "training",
});

describe("comparison", () => {
  test("the median of odd and even numbers of values", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
    expect(() => median([])).toThrow(RangeError);
  });

  test("warm steps are left out of the speed, and the file's batches are read around", () => {
    expect([1, 2, 3, 4, 12].map(warmSteps)).toEqual([0, 1, 2, 3, 3]);
    const steps = [9, 9, 9, 2, 3].map((seconds) => ({ loss: 1, seconds }));
    expect(tokensPerSecond(steps, [10, 20])).toBe((20 + 10) / 5); // steps 4 and 5 read batches 2 and 1
  });

  test("losses are compared step by step; NaN and missing steps never agree", () => {
    expect(largestDifference([1, 2.002], [1, 2])).toBeCloseTo(1e-3, 9);
    expect(largestDifference([1], [1])).toBe(0);
    expect(largestDifference([1, Number.NaN], [1, 2])).toBe(Number.POSITIVE_INFINITY);
    expect(largestDifference([1], [1, 2])).toBe(Number.POSITIVE_INFINITY);
  });

  test("the peer is the faster one, the ratio is ours over it, and the exact peer judges the losses", () => {
    const row = compare(
      "w",
      [100],
      [run([2, 1], 1), run([2, 1], 3)],
      [
        { name: "slow", isGivenUp: false, exact: true, runs: [run([2, 1.00001], 4), run([2, 1.0005], 4)] },
        { name: "fast", isGivenUp: false, exact: false, runs: [run([2, 1.5], 2), run([2, 1.5], 2)] },
      ],
    );
    expect(row.ours.tokensPerSecond).toBeCloseTo((100 + 100 / 3) / 2);
    expect(row.peer?.name).toBe("fast");
    expect(row.ratio).toBeCloseTo((100 + 100 / 3) / 2 / 50);
    expect(row.lossDifference).toBeCloseTo(0.0005 / 1.0005, 9);
    expect(disagreeing([row])).toEqual([]);
    expect(disagreeing([{ ...row, lossDifference: 1.1e-3 }])).toHaveLength(1);
    expect(disagreeing([{ ...row, lossDifference: Number.POSITIVE_INFINITY }])).toHaveLength(1);
  });

  test("a peer that was given up is named, and is not the peer, even with a run from an earlier round", () => {
    const peers = [
      { name: "exact", isGivenUp: false, exact: true, runs: [run([2, 1], 4)] },
      { name: "hopeless", isGivenUp: true, exact: false, runs: [run([2, 1], 1)] },
    ];
    const row = compare("w", [100], [run([2, 1], 2)], peers);
    expect(row).toMatchObject({ givenUp: ["hopeless"], peer: { name: "exact" }, ratio: 2 });
    expect(row.peers.map(({ name }) => name)).toEqual(["exact"]);
    expect(remarks([row]).join("\n")).toContain("w: hopeless was given up");
    expect([1, 100].map(patienceAfter)).toEqual([60, 300]);
  });

  test("without a peer ours stands alone", () => {
    const row = compare("w", [100], [run([2, 1], 1, null)], []);
    expect(row).toMatchObject({ peer: null, ratio: null, peers: [], lossDifference: null, ours: { peakBytes: null, loss: 1 } });
  });
});

const result: BenchResult = {
  machine: { processor: "A processor", processors: 2, memoryBytes: 16e9, platform: "linux-x64", versions: { node: "20.20.0" } },
  run: { date: "2026-01-02T03:04:05.000Z", model: "smollm2-135m", steps: 2, warmSteps: 1, rounds: 1, peakOf: "training" },
  rows: [
    compare(
      "train-256",
      [1000],
      [run([3, 2], 2)],
      [
        { name: "peft fp32", isGivenUp: false, exact: true, runs: [run([3, 2], 5, 5.4e9)] },
        { name: "peft bf16", isGivenUp: false, exact: false, runs: [run([3, 2.1], 2.5, 3.9e9)] },
      ],
    ),
  ],
};

describe("results", () => {
  test("the JSON has the shape that scripts read", () => {
    expect(JSON.parse(JSON.stringify(result))).toMatchObject({
      machine: expect.any(Object),
      rows: [
        {
          work: "train-256",
          ours: { tokensPerSecond: 500, peakBytes: 2e9, loss: 2 },
          peer: { name: "peft bf16", tokensPerSecond: 400, peakBytes: 3.9e9, loss: 2.1 },
          ratio: 1.25,
        },
      ],
    });
  });

  test("the table for people", () => {
    expect(resultTable(result.rows).split("\n")).toEqual([
      "| work      | engine               | tokens/s | peak memory | loss, last step | ours ÷ this |",
      "|-----------|----------------------|---------:|------------:|----------------:|------------:|",
      "| train-256 | Lorikeet fp32        |      500 |     2.00 GB |         2.00000 |             |",
      "|           | peft fp32            |      200 |     5.40 GB |         2.00000 |        2.50 |",
      "|           | peft bf16 (the peer) |      400 |     3.90 GB |         2.10000 |        1.25 |",
    ]);
  });

  test("what the numbers hold for is said", () => {
    expect(conditions(result).join("\n")).toContain("2 steps, of which the last 1 count");
    expect(remarks(result.rows)).toEqual([
      "train-256: losses of ours and of PEFT in fp32 differ by at most 0.0e+0 (relative); they agree.",
    ]);
    const far = result.rows.map((row) => ({ ...row, lossDifference: 0.5 }));
    expect(remarks(far)[0]).toContain("did NOT do the same work");
    expect(resultPage(result)).toContain("2026-01-02");
  });
});

describe("surroundings", () => {
  test("options", () => {
    const known = ["a", "b"];
    expect(readOptions([], known)).toEqual({ json: false, steps: 12, rounds: 2, works: known });
    expect(readOptions(["--json", "--steps", "2", "--rounds", "1", "--work", "b"], known)).toEqual({
      json: true,
      steps: 2,
      rounds: 1,
      works: ["b"],
    });
    expect(() => readOptions(["--work", "c"], known)).toThrow("--work c: there is no such work. There are: a, b.");
    expect(() => readOptions(["--steps", "0"], known)).toThrow('--steps must be a whole number from 1 to 999999, found "0".');
    expect(() => readOptions(["--stepz", "3"], known)).toThrow("--stepz");
    expect(readOptions(["--help"], known)).toBeUndefined();
  });

  test("a side's lines: steps, the last one, and what is no record", () => {
    expect(parseRecord('{"loss": 2.5, "seconds": 1.5}')).toEqual({ loss: 2.5, seconds: 1.5 });
    expect(parseRecord('{"loss": null, "seconds": 1.5}')).toEqual({ loss: Number.NaN, seconds: 1.5 });
    expect(parseRecord('{"peakBytes": 7, "peakOf": "process"}')).toEqual({ peakBytes: 7, peakOf: "process" });
    expect(parseRecord("Loading weights: 100%")).toBeUndefined();
    expect(parseRecord("12")).toBeUndefined();
  });

  describe("a side's process", () => {
    const node = (script: string) => ({ name: "side", command: process.execPath, args: ["-e", script], env: {} });
    const signal = new AbortController().signal;
    const onStep = () => undefined;

    test("its lines become a measure", async () => {
      const lines = ['{"loss":2,"seconds":1}', "a greeting", '{"peakBytes":7,"peakOf":"training"}'];
      const seen: number[] = [];
      const script = `for (const line of ${JSON.stringify(lines)}) console.log(line)`;
      const measured = await runSide(node(script), { signal, onStep: ({ loss }) => seen.push(loss) });
      expect(measured).toEqual({ steps: [{ loss: 2, seconds: 1 }], peakBytes: 7, peakOf: "training" });
      expect(seen).toEqual([2]);
    });

    test("one that fails is told with what it wrote", async () => {
      const script = 'console.error("out of memory"); process.exitCode = 3';
      await expect(runSide(node(script), { signal, onStep })).rejects.toThrow("side ended after 0 steps (exit code 3).\nout of memory");
    });

    test("one that takes too long is given up; one that is interrupted is an error", async () => {
      const endless = node("setInterval(() => undefined, 1000)");
      await expect(runSide(endless, { signal, onStep, patience: 0.20004 })).resolves.toBeUndefined();
      await expect(runSide(endless, { signal: AbortSignal.timeout(200), onStep, patience: 60 })).rejects.toThrow(/abort/i);
    });
  });

  test("versions other than the pinned ones are told; a build of the pinned one is not", () => {
    const pinned = readRequirements("torch==2.13.0\npeft==0.21.0\n");
    expect([...pinned]).toEqual([
      ["torch", "2.13.0"],
      ["peft", "0.21.0"],
    ]);
    expect(deviationsFrom(pinned, { torch: "2.13.0+cpu", peft: "0.20.0" })).toEqual(["peft is 0.20.0, the bench is made for 0.21.0"]);
  });
});
