import { existsSync, rmSync, symlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { InputError, RunError } from "../../src/errors.js";
import { LossProgram } from "../../src/training/loss-program.js";
import { loadCheckpoint } from "../../src/training/node/checkpoint-file.js";
import { readMetrics, runFolder } from "../../src/workflows/node/run-folder.js";
import { TINY_CHAT, temporaryFolder } from "./support.js";
import { ofType, questionsFile, runHere } from "./training-support.js";

afterEach(() => void vi.restoreAllMocks());

const common = { model: TINY_CHAT, batchSize: 4, lr: 1e-3, threads: 1, report: false } as const;

async function newRun(options: Readonly<Record<string, unknown>> = {}) {
  return { ...common, data: await questionsFile(), out: join(await temporaryFolder(), "run"), ...options };
}

const weights = (out: string) => readFile(join(out, "adapter", "adapter_model.safetensors"));

test("an epoch ends where it ends: the last update takes the batches that are left", async () => {
  const events = await runHere(await newRun({ epochs: 1, accumulate: 3 })); // 30 examples are 8 batches: 3, 3 and 2
  const steps = ofType(events, "step");
  expect(steps.map(({ step, steps: of }) => `${step}/${of}`)).toEqual(["1/3", "2/3", "3/3"]);
  expect(steps.at(-1)?.epoch).toBe(1);
  expect(steps.map(({ supervisedTokens }) => supervisedTokens).reduce((sum, count) => sum + count, 0)).toBe(
    await supervisedTokensOfEpoch(),
  );
});

/** What an epoch of one update sees. */
async function supervisedTokensOfEpoch(): Promise<number> {
  const [step] = ofType(await runHere(await newRun({ steps: 1, batchSize: 30 })), "step");
  return step?.supervisedTokens ?? 0;
}

test.each([
  ["between updates", 4],
  ["at the end", 100],
])("an abort during the validation %s saves; the resumed run makes up for it, bit for bit", async (_when, evalEvery) => {
  const whole = await newRun({ steps: 4, evalEvery });
  const expected = ofType(await runHere(whole), "evaluation");
  expect(expected).toHaveLength(1);

  const stopped = { ...whole, out: join(await temporaryFolder(), "stopped") };
  const abort = new AbortController();
  vi.spyOn(LossProgram.prototype, "run").mockImplementationOnce(() => {
    abort.abort(); // the first of its batches
    return Promise.resolve(new Float32Array(1));
  });
  const events = await runHere(stopped, { signal: abort.signal });
  expect(ofType(events, "evaluation")).toEqual([]);
  expect(events.at(-1)).toMatchObject({ type: "done", reason: "interrupted", steps: 4 });

  const rest = await runHere({ ...stopped, resume: true });
  expect(ofType(rest, "step")).toEqual([]);
  expect(ofType(rest, "evaluation")).toEqual(expected);
  expect(rest.at(-1)).toMatchObject({ type: "done", reason: "finished", steps: 4 });
  expect((await weights(stopped.out)).equals(await weights(whole.out))).toBe(true);
});

test.skipIf(!existsSync("/dev/full"))(
  "a disk that is full when metrics are written ends the run in words; its checkpoint resumes",
  async () => {
    const options = await newRun({ steps: 6, saveEvery: 2, evalEvery: 100 });
    const { metrics, checkpoint } = runFolder(options.out);
    const fillDisk = () => {
      rmSync(metrics);
      symlinkSync("/dev/full", metrics);
    };
    const failing = runHere(options, { onEvent: (event) => event.type === "checkpoint" && event.step === 4 && fillDisk() });
    const error: unknown = await failing.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RunError);
    expect((error as RunError).message).toContain(`${metrics} was not written: the disk or the quota is full.`);
    expect((await loadCheckpoint(checkpoint)).state.progress.step).toBe(4);

    rmSync(metrics);
    const rest = await runHere({ ...options, resume: true });
    expect(ofType(rest, "step").map(({ step }) => step)).toEqual([5, 6]);
    const whole = { ...options, out: join(await temporaryFolder(), "whole") };
    await runHere(whole);
    expect((await weights(options.out)).equals(await weights(whole.out))).toBe(true);
  },
);

test.skipIf(!existsSync("/dev/full"))(
  "a disk that is full at the very end costs the last line of the metrics, not the ending",
  async () => {
    const options = await newRun({ steps: 2 });
    const { metrics } = runFolder(options.out);
    const fillDisk = () => {
      rmSync(metrics);
      symlinkSync("/dev/full", metrics);
    };
    const events = await runHere(options, { onEvent: (event) => event.type === "checkpoint" && event.step === 2 && fillDisk() });
    expect(ofType(events, "warning").map(({ message }) => message)).toEqual([expect.stringContaining("the disk or the quota is full")]);
    expect(events.at(-1)).toMatchObject({ type: "done", reason: "finished", adapter: join(options.out, "adapter") });
    expect((await weights(options.out)).length).toBeGreaterThan(0);
  },
);

describe("a resumed run", () => {
  /** A run of 6 updates, killed after its fifth; its last checkpoint is that of the fourth. */
  async function killedRun() {
    const options = await newRun({ steps: 6, saveEvery: 2, evalEvery: 4 });
    const kill = (event: { type: string; step?: number }) => {
      if (event.type === "step" && event.step === 5) throw new Error("killed");
    };
    await expect(runHere(options, { onEvent: kill })).rejects.toThrow("killed");
    return options;
  }

  const lines = async (out: string) =>
    (await readMetrics(runFolder(out))).flatMap(({ type, step }) => (step === undefined ? [] : [`${type} ${step}`]));

  test("drops the metrics of updates after its checkpoint, which it takes again", async () => {
    const options = await killedRun();
    expect((await lines(options.out)).at(-1)).toBe("step 5");
    const rest = await runHere({ ...options, resume: true });
    expect(ofType(rest, "step").map(({ step }) => step)).toEqual([5, 6]);
    expect(await lines(options.out)).toEqual([
      ...["step 1", "step 2", "checkpoint 2", "step 3", "step 4", "evaluation 4", "checkpoint 4"],
      ...["step 5", "step 6", "checkpoint 6", "evaluation 6", "checkpoint 6"],
    ]);
  });

  test("drops the metrics of an evaluation that its checkpoint does not know of", async () => {
    const options = await newRun({ steps: 2, saveEvery: 2, evalEvery: 100 }); // the checkpoint comes first, then the evaluation at the end
    const kill = (event: { type: string }) => {
      if (event.type === "evaluation") throw new Error("killed");
    };
    await expect(runHere(options, { onEvent: kill })).rejects.toThrow("killed");
    expect((await lines(options.out)).at(-1)).toBe("evaluation 2");
    await runHere({ ...options, resume: true });
    expect(await lines(options.out)).toEqual(["step 1", "step 2", "checkpoint 2", "evaluation 2", "checkpoint 2"]);
  });

  test("is told that another machine may differ in its last bits, and goes on", async () => {
    const options = await killedRun();
    const events = await runHere({ ...options, threads: 2, resume: true });
    expect(ofType(events, "warning").map(({ message }) => message)).toEqual([
      "The run goes on, but its last bits may differ from an uninterrupted one: threads was 1, is 2.",
    ]);
    expect(events.at(-1)).toMatchObject({ type: "done", reason: "finished", steps: 6 });
  });

  test("may save at other updates and spell out its precision: no number depends on it", async () => {
    const options = await killedRun();
    const events = await runHere({ ...options, saveEvery: 5, precision: "fp32", resume: true });
    expect(ofType(events, "warning")).toEqual([]);
    expect(ofType(events, "checkpoint").map(({ step }) => step)).toEqual([5, 6]);
  });

  test("is refused with options that change its numbers, each named", async () => {
    const options = await killedRun();
    const error: unknown = await runHere({ ...options, lr: 2e-3, evalEvery: 3, resume: true }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InputError);
    const { message } = error as InputError;
    expect(message).toContain(`${options.out} holds another run; it cannot be resumed with these options:`);
    expect(message).toContain("lr was 0.001, is 0.002");
    expect(message).toContain("evalEvery was 4, is 3");
    expect((await loadCheckpoint(runFolder(options.out).checkpoint)).state.progress.step).toBe(4);
  });
});
