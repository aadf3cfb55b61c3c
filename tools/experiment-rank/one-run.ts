import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { train } from "lorikeet";
import { type Choice, recipe } from "./choices.js";
import { type Pair, rowOf } from "./e2e.js";
import type { RunKey, RunResult } from "./results.js";

type Trained = Pick<RunResult, "precision" | "parameters" | "steps" | "trainLoss">;

/** Trains one choice and hands the folder of what was trained, an adapter or a whole model, to `measured` before it is gone. */
export async function performRun<Measured>(
  { id, seed, lr, stage }: RunKey,
  choice: Choice,
  data: { readonly model: string; readonly learned: readonly Pair[]; readonly choosing: readonly Pair[] },
  measured: (folder: string) => Promise<Measured>,
): Promise<RunKey & Trained & Measured & Pick<RunResult, "seconds" | "model">> {
  const started = performance.now();
  const work = await mkdtemp(join(tmpdir(), "lorikeet-rank-"));
  try {
    const file = async (name: string, pairs: readonly Pair[]) => {
      const path = join(work, name);
      await writeFile(path, pairs.map((pair) => `${JSON.stringify(rowOf(pair))}\n`).join(""));
      return path;
    };
    // What is given as held-out rows is not what is scored; they are few, and measured at the last update alone, which so is kept.
    const files = { data: await file("learned.jsonl", data.learned), valid: await file("choosing.jsonl", data.choosing.slice(0, 4)) };
    const { folder, ...trained } = await trainChoice({ ...files, model: data.model, out: join(work, "run"), seed }, choice, lr);
    const found = await measured(folder);
    return { stage, id, seed, lr, model: data.model, ...trained, ...found, seconds: Math.round((performance.now() - started) / 1000) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function trainChoice(
  files: { readonly model: string; readonly data: string; readonly valid: string; readonly out: string; readonly seed: number },
  { options }: Choice,
  lr: number,
): Promise<Trained & { readonly folder: string }> {
  const losses: number[] = [];
  let folder = "";
  let start = { precision: "", parameters: 0 };
  for await (const event of train({
    ...files,
    ...recipe,
    ...options,
    lr,
    report: false,
    evalEvery: recipe.steps,
    saveEvery: recipe.steps,
  })) {
    if (event.type === "start") start = { precision: event.precision, parameters: event.trainableParameters };
    if (event.type === "step") losses.push(event.loss);
    if (event.type === "done") folder = event.adapter;
    if (event.type === "warning") console.error(`warning: ${event.message}`);
  }
  const last = losses.slice(-Math.ceil(losses.length / 4));
  return { folder, ...start, steps: losses.length, trainLoss: last.reduce((sum, loss) => sum + loss, 0) / last.length };
}
