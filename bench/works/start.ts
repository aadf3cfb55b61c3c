import { rm } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { RunError } from "../../src/errors.js";
import { median } from "../comparison.js";
import { buildCommand, lorikeetTrain } from "../lorikeet.js";
import { model as modelName } from "../recipe.js";
import type { StartRow } from "../rows.js";
import type { Surroundings, Work } from "../work.js";

const RUNS = 3;

export const startWork: Work = {
  name: "start",
  description: "seconds from the start of `lorikeet train` to its first update, the weights in the cache",
  measure,
};

async function measure(surroundings: Surroundings): Promise<StartRow> {
  const { note } = surroundings;
  await buildCommand(surroundings);
  note("start, once beforehand for the caches …");
  await secondsToFirstStep(surroundings);
  const runs: number[] = [];
  for (let run = 1; run <= RUNS; run++) {
    runs.push(await secondsToFirstStep(surroundings));
    note(`start, run ${run} of ${RUNS}: ${runs.at(-1)?.toFixed(2)} s`);
  }
  return { kind: "start", work: "start", date: new Date().toISOString(), seconds: median(runs), runs };
}

async function secondsToFirstStep(surroundings: Surroundings): Promise<number> {
  const { root, scratch } = surroundings;
  const out = join(scratch, "start");
  await rm(out, { recursive: true, force: true });
  const demo = (part: string) => join(root, `assets/demo/cron-${part}.jsonl`);
  const options = ["--model", modelName, "--data", demo("train"), "--valid", demo("valid"), "--out", out, "--batch-size", "8"];
  const started = performance.now();
  for await (const event of lorikeetTrain(surroundings, options)) {
    if (event.type === "step") return (performance.now() - started) / 1000;
  }
  throw new RunError("lorikeet train ended without an update.");
}
