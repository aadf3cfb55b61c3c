import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { GenerationProgram } from "../../src/generation/generation-program.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { LossProgram } from "../../src/training/loss-program.js";
import { runEvaluation } from "../../src/workflows/node/evaluation-run.js";
import { readMetrics, runFolder } from "../../src/workflows/node/run-folder.js";
import { fakeContext, jsonlFile, TINY_CHAT, temporaryFolder } from "./support.js";
import { ofType, questionsFile, runHere } from "./training-support.js";

afterEach(() => void vi.restoreAllMocks());

async function newRun() {
  return { model: TINY_CHAT, data: await questionsFile(), out: join(await temporaryFolder(), "run"), steps: 2, threads: 1 };
}

/** Counts the engine's sessions that were made, and those of them that were not given back. */
function watchSessions() {
  const sessions = { made: 0, open: 0 };
  const create = nodeEngine.createSession;
  vi.spyOn(nodeEngine, "createSession").mockImplementation(async (model, settings) => {
    const session = await create(model, settings);
    sessions.made++;
    sessions.open++;
    return {
      ...session,
      release: () => {
        sessions.open--;
        return session.release();
      },
    };
  });
  return sessions;
}

test("a failure of the measuring costs the report alone: the adapter is saved, and it is said how to measure again", async () => {
  const options = await newRun();
  const sessions = watchSessions();
  vi.spyOn(GenerationProgram.prototype, "step").mockRejectedValueOnce(new Error("bad allocation"));
  const events = await runHere(options);
  const adapter = join(options.out, "adapter");
  expect(ofType(events, "start")[0]?.notes.at(-1)).toMatch(
    /^the same 10 held-out examples that score the adapter at the end also choose it/,
  );
  expect(ofType(events, "warning").map(({ message }) => message)).toEqual([
    "The adapter is saved, but measuring it failed: bad allocation. Resuming the run (--resume) measures again and writes the report; " +
      `\`lorikeet eval --model ${TINY_CHAT} --adapter ${adapter} --data FILE\` measures it on a file of examples that were not trained on.`,
  ]);
  const done = events.at(-1);
  expect(done).toMatchObject({ type: "done", reason: "finished", steps: 2, adapter });
  expect(done).not.toHaveProperty("target");
  expect((await readMetrics(runFolder(options.out))).at(-1)).toEqual(done);
  for (const folder of [adapter, join(options.out, "last")]) expect((await readAdapterFolder(folder)).layers).toHaveLength(14);
  expect(existsSync(join(options.out, "report.html"))).toBe(false);
  expect(sessions).toEqual({ made: 4, open: 0 }); // gradients, validation, and the two that measure

  const again = await runHere({ ...options, resume: true });
  expect(ofType(again, "step")).toEqual([]);
  expect(ofType(again, "report")).toHaveLength(1);
  expect(again.at(-1)).toMatchObject({ type: "done", reason: "finished", target: { before: expect.any(Number) } });
});

test("an unreadable test file of the task is such a failure too", async () => {
  const file = await jsonlFile([{ nothing: 1 }], "test.jsonl");
  const options = await newRun();
  const events = await runHere(options, { target: { kind: "cron", file } });
  const [warning] = ofType(events, "warning");
  expect(warning?.message).toContain(`${file}:1: `);
  expect(warning?.message).toContain(`--adapter ${join(options.out, "adapter")} --data ${file}\` measures it.`);
  expect(warning?.message).not.toContain("--resume"); // the demo has no such option
  expect(ofType(events, "start")[0]?.notes.join()).not.toContain("also choose it"); // its test file chose nothing
  expect(events.at(-1)).toMatchObject({ type: "done", reason: "finished" });
});

test("an abort while measuring is an interruption, and gives the sessions back", async () => {
  const options = await newRun();
  const sessions = watchSessions();
  const abort = new AbortController();
  const events = await runHere(options, {
    signal: abort.signal,
    onEvent: (event) => event.type === "progress" && event.task === "measuring with the adapter" && abort.abort(),
  });
  expect(ofType(events, "warning").map(({ message }) => message)).toEqual([
    expect.stringContaining("The adapter is saved, but measuring it was interrupted. Resuming the run (--resume) measures"),
  ]);
  expect(events.at(-1)).toMatchObject({ type: "done", reason: "interrupted", steps: 2 });
  expect(sessions).toEqual({ made: 4, open: 0 });
});

test("a failure before the first update gives back the sessions that were made", async () => {
  const sessions = watchSessions();
  vi.spyOn(LossProgram, "compile").mockRejectedValueOnce(new Error("bad allocation"));
  await expect(runHere(await newRun())).rejects.toThrow("bad allocation");
  expect(sessions).toEqual({ made: 1, open: 0 });
});

test("an evaluation that fails gives its sessions back", async () => {
  const sessions = watchSessions();
  vi.spyOn(GenerationProgram.prototype, "step").mockRejectedValueOnce(new Error("bad allocation"));
  const options = { model: TINY_CHAT, data: await questionsFile(3), general: false };
  await expect(runEvaluation(options, fakeContext())).rejects.toThrow("bad allocation");
  expect(sessions).toEqual({ made: 2, open: 0 });
});
