import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { stepLine } from "../../src/cli/render/train.js";
import type { TrainEvent } from "../../src/workflows/api.js";
import { events, fakeIo, report, runWith, script } from "./support.js";

const argv = ["train", "--model", "m", "--data", "d", "--out", "o"];
const workflows = { train: () => events(script()) };
const step = script().find((event): event is Extract<TrainEvent, { type: "step" }> => event.type === "step")!;

describe("the output of train", () => {
  test("without a terminal: plain occasional lines on standard error, the ending on standard output", async () => {
    const { code, out, err } = await runWith(argv, workflows);
    expect(code).toBe(0);
    expect(err.split("\n")).toEqual([
      "downloading model.safetensors …",
      "smollm2-135m: 210 layers get an adapter, 4.9 M of 135 M parameters are trained (3.631 %).",
      "900 examples to learn from, 100 held out; 3 updates on cpu, fp32.",
      "100 of 1000 rows are held out.",
      "1/3 · loss 2.000 · 2 s left · 432 tokens/s · rate 2.0e-4 · 2.1 GB · epoch 0.33",
      "validation loss 1.1 (perplexity 3.004) after update 2, the best so far",
      "saved out/checkpoint",
      "warning: validation loss rises",
      "3/3 · loss 0.667 · 0 s left · 432 tokens/s · rate 2.0e-4 · 2.1 GB · epoch 1.00",
      "",
    ]);
    expect(out).toBe(
      `every day at nine
  expected 0 9 * * *
  before   I can help you with that.
  after    0 9 * * *

on Mondays
  expected 0 9 * * *
  before   I can help you with that.
  after    0 9 * * *

each␛[2Jminute
  expected 0 9 * * *
  before   I can help you with that.
  after    0 9 * * *

measure                      examples  before  after  difference  95 % interval   verdict
───────────────────────────  ────────  ──────  ─────  ──────────  ──────────────  ──────────────────
target: exact match               100     3 %   82 %       +79 %  +70 % to +87 %  measurable gain
general: questions                320    41 %   40 %        −1 %  −3 % to +1 %    no measurable loss
general: perplexity of text        40    20.1   20.9        +4 %  +1 % to +7 %    measurable loss

The validation loss still falls.
82 of 100 right, 3 before; general ability unchanged within noise; next: use it.

3 updates in 1 min 01 s (432 tokens/s, 2.1 GB at the peak); lowest validation loss 1.1 after update 2.
adapter  out/adapter
report   out/report.html
`,
    );
  });

  test("a plain line comes once a minute", async () => {
    const many = Array.from({ length: 200 }, (_, index): TrainEvent => ({ ...step, step: index + 1, steps: 1000, seconds: index }));
    const { err } = await runWith(argv, { train: () => events(many) });
    expect(
      err
        .trim()
        .split("\n")
        .map((line) => line.split("/")[0]),
    ).toEqual(["1", "61", "121", "181"]);
  });

  test("quiet: warnings and the ending alone", async () => {
    const { out, err } = await runWith([...argv, "--quiet"], workflows);
    expect(err).toBe("warning: validation loss rises\n");
    expect(out).toContain("82 of 100 right");
  });

  test("--json: standard output is one event a line, the last of type done, and people's text is on standard error", async () => {
    const { out, err } = await runWith([...argv, "--json"], workflows);
    expect(out.endsWith("\n")).toBe(true);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(script());
    expect(err).toContain("82 of 100 right");
  });

  test("on a terminal: a live line with loss, rate, tokens/s, memory and time left, in colour, wiped at the end", async () => {
    const io = fakeIo({ terminal: true, env: { TERM: "xterm" } });
    const { out, err } = await runWith(argv, workflows, io);
    const plain = stripVTControlCharacters(err);
    expect(plain).toContain("downloading model.safetensors  ░░░░░░░░░░░░░░░░░░░░  1.0 MB of 270 MB");
    expect(plain).toMatch(/█+░+ 2\/3 · loss 1\.000 · 1 s left · 432 tokens\/s · rate 2\.0e-4 · 2\.1 GB · epoch 0\.67/);
    expect(plain).toContain("validation loss 1.1 (perplexity 3.004) after update 2, the best so far");
    expect(plain).not.toContain("saved out/checkpoint");
    expect(err).toContain("\u001b[33mwarning:\u001b[39m validation loss rises\n");
    expect(out).toContain(`\u001b[1m${report.sentence}`);
  });

  test("the demo shows its run the same way", async () => {
    const { out, code } = await runWith(["demo", "--quick", "--json"], {
      demo(options) {
        expect(options).toMatchObject({ quick: true });
        return events(script());
      },
    });
    expect(code).toBe(0);
    expect(JSON.parse(out.trimEnd().split("\n").at(-1)!)).toMatchObject({ type: "done", adapter: "out/adapter" });
  });
});

test("the live line never wraps", () => {
  for (let columns = 10; columns < 140; columns++) expect(stepLine(step, columns).length).toBeLessThan(Math.max(columns, 4));
  expect(stepLine(step, 20)).toBe("1/3 · loss 2.000");
});

test("NO_COLOR keeps a terminal plain", async () => {
  const io = fakeIo({ terminal: true, env: { NO_COLOR: "1", TERM: "xterm" } });
  const { out } = await runWith(argv, workflows, io);
  expect(out).not.toContain("\u001b[");
});
