import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadCheckpoint } from "../../src/training/node/checkpoint-file.js";
import { jsonLines, lorikeet, startLorikeet } from "../support/built-command.js";
import { TINY_CHAT } from "../workflows/support.js";

// A training run as a user of the command has it: told line by line, stopped with Ctrl-C, and taken up again.

const STEPS = 12;
let folder: string;
let data: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lorikeet-built-"));
  data = join(folder, "rows.jsonl");
  const words = (row: number) => Array.from({ length: 40 }, (_, index) => (row * 31 + index * 7) % 1000).join(" ");
  const rows = Array.from({ length: 40 }, (_, row) => `${JSON.stringify({ prompt: `number ${row}`, completion: words(row) })}\n`);
  writeFileSync(data, rows.join(""));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Steps long enough that a signal arrives before the last of them. */
const train = (out: string) => [
  ...["train", "--model", TINY_CHAT, "--data", data, "--out", join(folder, out), "--json", "--no-report"],
  ...["--steps", String(STEPS), "--batch-size", "8", "--accumulate", "4", "--dropout", "0.1", "--lr", "1e-3", "--eval-every", "4"],
];
const types = (output: string) => jsonLines(output).map(({ type }) => type);

/** Starts a run, sends it Ctrl-C's signal after its second step, and waits for the end. */
async function interrupted(out: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = startLorikeet(...train(out));
  let stderr = "";
  child.stderr.on("data", (piece) => {
    stderr += piece;
  });
  const lines: string[] = [];
  const ended = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    const { type, step } = JSON.parse(line);
    if (type === "step" && step === 2) child.kill("SIGINT");
  }
  const [code] = await ended;
  return { code, stdout: `${lines.join("\n")}\n`, stderr };
}

describe("a run that Ctrl-C stops", () => {
  let whole: ReturnType<typeof lorikeet>;
  let stopped: Awaited<ReturnType<typeof interrupted>>;
  beforeAll(async () => {
    whole = lorikeet(...train("whole"));
    stopped = await interrupted("stopped");
  });
  const checkpoint = () => join(folder, "stopped", "checkpoint.safetensors");

  test("train --json prints JSON lines alone, the last of them done", () => {
    expect(whole.status).toBe(0);
    expect(types(whole.stdout).filter((type) => type === "step")).toHaveLength(STEPS);
    expect(types(whole.stdout)).toEqual(expect.arrayContaining(["start", "evaluation", "checkpoint"]));
    expect(jsonLines(whole.stdout).at(-1)).toMatchObject({
      type: "done",
      steps: STEPS,
      reason: "finished",
      adapter: join(folder, "whole", "adapter"),
    });
  });

  test("ends with 130 and a checkpoint, its output JSON to the last line", async () => {
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toContain("Stopping after the current step. Ctrl-C again ends at once.");
    const last = jsonLines(stopped.stdout).at(-1);
    expect(last).toMatchObject({ type: "done", reason: "interrupted" });
    const { step } = (await loadCheckpoint(checkpoint())).state.progress;
    expect(step).toBe(last?.steps);
    expect(step).toBeGreaterThanOrEqual(2);
    expect(step).toBeLessThan(STEPS);
  });

  test("is neither written over nor taken up as another run", () => {
    const before = readFileSync(checkpoint());
    const again = lorikeet(...train("stopped"));
    expect(again).toMatchObject({ status: 2, stdout: "" });
    expect(again.stderr).toContain(`error: ${join(folder, "stopped")} holds a run already. Go on with it by --resume`);

    const other = lorikeet(...train("stopped"), "--resume", "--rank", "8", "--lr", "0.002");
    expect(other).toMatchObject({ status: 2, stdout: "" });
    const [first, ...lines] = other.stderr.trimEnd().split("\n");
    expect(first).toBe(`error: ${join(folder, "stopped")} holds another run; it cannot be resumed with these options:`);
    expect(lines).toEqual([
      "  rank was 16, is 8",
      "  lr was 0.001, is 0.002",
      "  parameters was 16384, is 8192",
      "Repeat its options (run.yaml), or start anew in another folder.",
    ]);
    expect(readFileSync(checkpoint()).equals(before)).toBe(true);
  });

  test("--resume ends with the bytes of the run that was never stopped", () => {
    const { status, stdout } = lorikeet(...train("stopped"), "--resume");
    expect(status).toBe(0);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ type: "done", steps: STEPS, reason: "finished" });
    const file = (run: string, name: string) => readFileSync(join(folder, run, name));
    for (const name of ["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "last/adapter_model.safetensors"]) {
      expect(file("stopped", name).equals(file("whole", name)), name).toBe(true);
    }
  });
});

test("--resume where no run is", () => {
  const { status, stderr } = lorikeet(...train("nowhere"), "--resume");
  expect(status).toBe(2);
  expect(stderr).toContain(`error: ${join(folder, "nowhere")}: there is no checkpoint to resume`);
  expect(existsSync(join(folder, "nowhere"))).toBe(false);
});
