import { describe, expect, test } from "vitest";
import { type AdapterUse, adapterOfRow, adaptersArguments, readAdaptersTask } from "../../bench/adapters-task.js";
import { cutIntoBatches, decodeBatches, encodeBatches, padIntoBatches, toBatch, tokensOf } from "../../bench/batch-file.js";
import { chart } from "../../bench/chart.js";
import {
  compare,
  disagreements,
  largestDifference,
  median,
  patienceAfter,
  type RunMeasure,
  tokensPerSecond,
  warmSteps,
} from "../../bench/comparison.js";
import { reasonAgainst } from "../../bench/keep.js";
import { readOptions } from "../../bench/options.js";
import { deviationsFrom, readRequirements } from "../../bench/python.js";
import { type BenchResult, conditions, mergeRows, remarks, resultPage } from "../../bench/result.js";
import { parseRecord, runSide } from "../../bench/side.js";
import { resultTables } from "../../bench/tables.js";
import { adapterPoint } from "../../bench/works/adapters.js";
import { shareOf } from "../../bench/works/curves.js";
import { answerSpeed, generateRow } from "../../bench/works/generate.js";
import { meansOf } from "../../bench/works/loss.js";
import { repeated } from "../../bench/works/texts.js";

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
    expect(batches.map((batch) => batch.lengths)).toEqual([
      [4, 4],
      [4, 4],
    ]);
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
        lengths: [3, 2],
      },
    ]);
  });

  test("a text that is too short begins anew", () => {
    expect(repeated([1, 2, 3], 7)).toEqual([1, 2, 3, 1, 2, 3, 1]);
  });

  test("a batch comes back from the file, and its speed does not count padding", () => {
    const batches = padIntoBatches(
      [
        { ids: [5, 6, 7], supervised: [0, 1, 1] },
        { ids: [8], supervised: [0] },
      ],
      2,
    );
    expect(decodeBatches(encodeBatches(batches))).toEqual(batches);
    expect(batches.map(tokensOf)).toEqual([4]);
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
      lengths: [3, 2],
    });
    expect(batch.supervisedCount).toBe(3);
    expect(batch.exampleTokens).toBe(5);
    expect([...batch.targets.slice(0, 3)]).toEqual([6n, 7n, 9n]);
    expect([...batch.supervisedRows.slice(0, 3)].map((row) => batch.ids[Number(row)])).toEqual([5n, 6n, 8n]);
  });
});

const run = (losses: readonly number[], seconds: number, peakBytes: number | null = 2e9): RunMeasure => ({
  steps: losses.map((loss, index) => ({ loss, seconds: index === 0 ? 100 : seconds })),
  peakBytes,
  peakOf: "training",
});

const measuring = { date: "2026-01-02T03:04:05.000Z", steps: 2, rounds: 1 };
const fp32 = (runs: readonly RunMeasure[]) => ({ name: "fp32", exact: true, runs });
const int8 = (runs: readonly RunMeasure[]) => ({ name: "int8", exact: false, runs });

describe("comparison", () => {
  test("the median of odd and even numbers of values", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
    expect(() => median([])).toThrow(RangeError);
  });

  test("warm steps are left out of the speed, and the file's batches are read around", () => {
    expect([1, 2, 3, 4, 6, 12].map(warmSteps)).toEqual([0, 1, 1, 2, 3, 3]);
    const steps = [9, 9, 2, 3].map((seconds) => ({ loss: 1, seconds }));
    expect(tokensPerSecond(steps, [10, 20, 30])).toBe((30 + 10) / 5); // steps 3 and 4 read batches 3 and 1
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
      [fp32([run([2, 1], 1), run([2, 1], 3)])],
      [
        { name: "slow", isGivenUp: false, exact: true, runs: [run([2, 1.00001], 4), run([2, 1.0005], 4)] },
        { name: "fast", isGivenUp: false, exact: false, runs: [run([2, 1.5], 2), run([2, 1.5], 2)] },
      ],
      measuring,
    );
    expect(row.ours.tokensPerSecond).toBeCloseTo((100 + 100 / 3) / 2);
    expect(row.peer?.name).toBe("fast");
    expect(row.ratio).toBeCloseTo((100 + 100 / 3) / 2 / 50);
    expect(row.lossDifference).toBeCloseTo(0.0005 / 1.0005, 9);
    expect(row.roundedLossDifference).toBeNull();
    expect(disagreements(row)).toEqual([]);
    expect(disagreements({ ...row, lossDifference: 1.1e-3 })).toHaveLength(1);
    expect(disagreements({ ...row, lossDifference: Number.POSITIVE_INFINITY })).toHaveLength(1);
  });

  test("ours is the faster precision, and each is judged by its own tolerance against the exact peer", () => {
    const peers = [{ name: "peft", isGivenUp: false, exact: true, runs: [run([2, 1], 4)] }];
    const row = compare("w", [100], [fp32([run([2, 1], 2)]), int8([run([2.02, 1.015], 1)])], peers, measuring);
    expect(row.ours).toMatchObject({ name: "int8", tokensPerSecond: 100 });
    expect(row.all.map(({ name }) => name)).toEqual(["fp32", "int8"]);
    expect(row.ratio).toBe(4);
    expect(row.lossDifference).toBe(0);
    expect(row.roundedLossDifference).toBeCloseTo(0.015, 9);
    expect(disagreements(row)).toEqual([]);
    const far = compare("w", [100], [fp32([run([2, 1], 1)]), int8([run([2, 1.06], 2)])], peers, measuring);
    expect(far.ours.name).toBe("fp32");
    expect(disagreements(far)).toEqual(["w: losses of ours in int8 and of PEFT in fp32 differ by 6.0e-2, more than 0.05."]);
  });

  test("a peer that was given up is named, and is not the peer, even with a run from an earlier round", () => {
    const peers = [
      { name: "exact", isGivenUp: false, exact: true, runs: [run([2, 1], 4)] },
      { name: "hopeless", isGivenUp: true, exact: false, runs: [run([2, 1], 1)] },
    ];
    const row = compare("w", [100], [fp32([run([2, 1], 2)])], peers, measuring);
    expect(row).toMatchObject({ givenUp: ["hopeless"], peer: { name: "exact" }, ratio: 2 });
    expect(row.peers.map(({ name }) => name)).toEqual(["exact"]);
    expect(remarks([row]).join("\n")).toContain("w: hopeless was given up");
    expect([1, 100].map(patienceAfter)).toEqual([60, 300]);
  });

  test("without a peer ours stands alone", () => {
    const row = compare("w", [100], [fp32([run([2, 1], 1, null)])], [], measuring);
    expect(row).toMatchObject({ peer: null, ratio: null, peers: [], lossDifference: null, ours: { peakBytes: null, loss: 1 } });
  });
});

describe("other works", () => {
  const answer = (first: number, others: number) => ({ first, others, ids: [7, 8, 9] });

  test("an answer's speed: the prompt up to the first token, then the others", () => {
    const speed = answerSpeed("int8", [answer(2, 1), answer(4, 0.5)]);
    expect(speed).toEqual({ name: "int8", prefill: (256 + 128) / 2, decode: 3, ids: [7, 8, 9] });
  });

  test("the precision that decodes faster is ours, and stands beside the peer", () => {
    const all = [
      { name: "fp32", prefill: 100, decode: 10, ids: [1, 2, 3] },
      { name: "int8", prefill: 90, decode: 20, ids: [1, 2, 4] },
    ];
    const peer = { name: "llama.cpp", prefill: 30, decode: 40, ids: [1, 2, 5] };
    const row = generateRow(all, peer, { rounds: 1, newTokens: 3 });
    expect(row.ours.name).toBe("int8");
    expect(row.ratio).toEqual({ prefill: 3, decode: 0.5 });
    expect(remarks([row])[0]).toContain("The first 2 new tokens of ours in fp32 and of the peer are the same.");
    expect(generateRow(all, null, { rounds: 1, newTokens: 3 }).ratio).toBeNull();
  });

  test("rows with adapters stand beside those that share one", () => {
    const of = (adapters: AdapterUse, first: number, others: number) =>
      adapterPoint({ precision: "fp32", rows: 8, adapters, newTokens: 3 }, [{ first, others }]);
    const points = [of("alone", 2, 1), of(8, 4, 1.25)];
    expect(points[1]).toEqual({ precision: "fp32", rows: 8, adapters: 8, prefill: (8 * 64) / 4, decode: (8 * 2) / 1.25 });
    const measured = { rounds: 2, promptTokens: 64, newTokens: 3, points } as const;
    const row = { kind: "adapters", work: "adapters", date: "2026-02-03T00:00:00.000Z", ...measured } as const;
    const cells = resultTables([row])
      .split("\n")
      .slice(2)
      .map((line) =>
        line
          .split("|")
          .map((cell) => cell.trim())
          .slice(1, -1),
      );
    expect(cells).toEqual([
      ["adapters", "fp32", "one for all, by itself", "8", "256", "16.0", "", ""],
      ["", "fp32", "8", "8", "128", "12.8", "0.50", "0.80"],
    ]);
    const task = { model: "m", precision: "int8", prompt: "p", rows: 64, adapters: 8, newTokens: 32, threads: 2 } as const;
    expect(readAdaptersTask(adaptersArguments(task))).toEqual(task);
    expect(readAdaptersTask(adaptersArguments({ ...task, adapters: "alone" })).adapters).toBe("alone");
    expect([0, 7, 8, 63].map((at) => adapterOfRow(at, 64, 8))).toEqual([0, 0, 1, 7]);
  });

  test("the loss of several seeds is their mean, and int8's stands over fp32's", () => {
    const seeds = [
      { seed: 1, fp32: 0.2, int8: 0.1 },
      { seed: 2, fp32: 0.4, int8: 0.5 },
    ];
    const { fp32, int8, ratio } = meansOf(seeds);
    expect([fp32, int8, ratio].map((value) => value?.toFixed(6))).toEqual(["0.300000", "0.300000", "1.000000"]);
    expect(meansOf([{ seed: 1, fp32: 0.2, int8: null }])).toEqual({ fp32: 0.2, int8: null, ratio: null });
  });

  test("a plan stands beside what its run took", () => {
    const run = { data: "demo", precision: "int8", gradientCheckpointing: true } as const;
    const sizes = { memory: { planned: 2e9, measured: 1.5e9 }, speed: { planned: 400, measured: 500 } };
    const row = { kind: "plan", work: "plan", date: "2026-02-03T00:00:00.000Z", steps: 8, runs: [{ ...run, ...sizes }] } as const;
    const cells = resultTables([row])
      .split("\n")
      .at(-1)
      ?.split("|")
      .map((cell) => cell.trim());
    expect(cells).toEqual(["", "plan", "demo", "int8, checkpoints", "2.00 GB", "1.50 GB", "0.75", "400", "500", "1.25", ""]);
  });

  test("speeds are shares of both limits, where there are both", () => {
    expect(shareOf(50, { fp32: 100, int8: 200 })).toEqual({ fp32: 0.5, int8: 0.25 });
    expect(shareOf(50, { fp32: 100, int8: null })).toEqual({ fp32: 0.5, int8: null });
  });
});

const trainRow = compare(
  "train-256",
  [1000],
  [fp32([run([3, 2], 2)]), int8([run([3, 2.01], 4)])],
  [
    { name: "peft fp32", isGivenUp: false, exact: true, runs: [run([3, 2], 5, 5.4e9)] },
    { name: "peft bf16", isGivenUp: false, exact: false, runs: [run([3, 2.1], 2.5, 3.9e9)] },
  ],
  measuring,
);
const startRow = { kind: "start", work: "start", date: "2026-02-03T00:00:00.000Z", seconds: 2.5, runs: [2.4, 2.5, 3] } as const;

const result: BenchResult = {
  machine: { processor: "A processor", processors: 2, memoryBytes: 16e9, platform: "linux-x64", versions: { node: "20.20.0" } },
  run: { date: "2026-01-02T03:04:05.000Z", model: "smollm2-135m" },
  rows: [trainRow],
};

describe("results", () => {
  test("the JSON has the shape that scripts read", () => {
    expect(JSON.parse(JSON.stringify(result))).toMatchObject({
      machine: expect.any(Object),
      rows: [
        {
          work: "train-256",
          ours: { name: "fp32", tokensPerSecond: 500, peakBytes: 2e9, loss: 2 },
          peer: { name: "peft bf16", tokensPerSecond: 400, peakBytes: 3.9e9, loss: 2.1 },
          ratio: 1.25,
        },
      ],
    });
  });

  test("the table for people", () => {
    expect(resultTables(result.rows).split("\n")).toEqual([
      "| work      | engine               | tokens/s | peak memory | loss, last step | ours ÷ this |",
      "|-----------|----------------------|---------:|------------:|----------------:|------------:|",
      "| train-256 | Lorikeet fp32 (ours) |      500 |     2.00 GB |         2.00000 |             |",
      "|           | Lorikeet int8        |      250 |     2.00 GB |         2.01000 |             |",
      "|           | peft fp32            |      200 |     5.40 GB |         2.00000 |        2.50 |",
      "|           | peft bf16 (the peer) |      400 |     3.90 GB |         2.10000 |        1.25 |",
    ]);
    expect(resultTables([startRow])).toContain("| start |                        2.50 | 2.40 2.50 3.00 |");
  });

  test("what the numbers hold for is said", () => {
    expect(conditions(result).join("\n")).toContain("A processor, 2 processors, 16 GB");
    expect(remarks(result.rows)).toEqual([
      "train-256: measured on 2026-01-02; 1 round in turns, medians; 2 steps, of which the last 1 count; peak memory of training, loading left out (VmHWM).",
      "train-256: losses of ours and of PEFT in fp32 differ by 0.0e+0 in fp32 (at most 0.001), 5.0e-3 in int8 (at most 0.05); they agree.",
    ]);
    expect(remarks([{ ...trainRow, lossDifference: 0.5 }])[1]).toContain("did NOT do the same work");
    expect(resultPage(result)).toContain("2026-01-02");
  });

  test("rows of a part take the place of older ones, each with its date, in the order of the works", () => {
    const anew = { ...startRow, seconds: 1 };
    const merged = mergeRows([trainRow, startRow], [anew], ["start", "train-256", "other"]);
    expect(merged).toEqual([anew, trainRow]);
  });

  test("trials, parts, rows without a peer and losses that disagree are not kept", () => {
    const options = { json: false, merge: false, steps: undefined, rounds: 2, works: ["train-256"] };
    expect(reasonAgainst(result, options, ["train-256"])).toBeUndefined();
    expect(reasonAgainst(result, { ...options, steps: 12 }, ["train-256"])).toContain("trial");
    expect(reasonAgainst(result, { ...options, rounds: 1 }, ["train-256"])).toContain("trial");
    expect(reasonAgainst(result, options, ["train-256", "start"])).toContain("--merge");
    expect(reasonAgainst(result, { ...options, merge: true }, ["train-256", "start"])).toBeUndefined();
    const alone = { ...result, rows: [{ ...trainRow, peer: null }] };
    expect(reasonAgainst(alone, options, ["train-256"])).toContain("without its peer");
    const wrong = { ...result, rows: [{ ...trainRow, roundedLossDifference: 0.06 }] };
    expect(reasonAgainst(wrong, options, ["train-256"])).toContain("do not agree");
  });

  test("the chart has a bar for each side, the longest for the fastest", () => {
    const widths = [...chart([trainRow]).matchAll(/width="([\d.]+)" height="16"/g)].map(([, width]) => Number(width));
    expect(widths.map((width) => (width / (widths[0] ?? 0)).toFixed(2))).toEqual(["1.00", "0.50", "0.40", "0.80"]);
    expect(chart([{ ...trainRow, work: "<a & b>" }])).toContain("&lt;a &amp; b&gt;");
  });
});

describe("surroundings", () => {
  test("options", () => {
    const known = ["a", "b"];
    expect(readOptions([], known)).toEqual({ json: false, merge: false, steps: undefined, rounds: 2, works: known });
    expect(readOptions(["--json", "--merge", "--steps", "2", "--rounds", "1", "--work", "b"], known)).toEqual({
      json: true,
      merge: true,
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
