import { readdir, readFile, rm, stat } from "node:fs/promises";
import { parse } from "yaml";
import { InputError } from "../../errors.js";
import { exists } from "../../weights/node/exists.js";
import type { DemoOptions, TrainEvent, TrainOptions } from "../api.js";
import { demoSet, inCode, parseOptions } from "../options.js";
import { assetPath } from "./assets.js";
import { runFolder } from "./run-folder.js";
import { runInWorker } from "./train.js";

const TRAINING = "demo/cron-train.jsonl";

/** Options that the demo was tuned with, on two cores without AVX-512: one pass over the data, or as much of it as fits into the time. */
const full = { epochs: 1, lr: 5e-4, batchSize: 8, evalEvery: 100 } as const;
const quick = { steps: 60, lr: 1e-3, batchSize: 8, evalEvery: 60 } as const;
const MOST_SECONDS = 9.5 * 60;

/**
 * Teaches SmolLM2-135M-Instruct to turn plain English into cron expressions, and measures what it learned on schedules that
 * it has never seen. Yields the events of the training run.
 */
export async function* demo({ signal, ...options }: DemoOptions & { readonly signal?: AbortSignal }): AsyncGenerator<TrainEvent> {
  const settings = parseOptions(demoSet, options, inCode);
  await clearEarlierDemo(settings.out);
  const run: TrainOptions = {
    model: "smollm2-135m",
    data: assetPath(TRAINING),
    valid: assetPath("demo/cron-valid.jsonl"),
    out: settings.out,
    ...(settings.threads === undefined ? {} : { threads: settings.threads }),
    ...(settings.quick ? quick : full),
  };
  yield* runInWorker(
    { options: run, target: { kind: "cron", file: assetPath("demo/cron-test.jsonl") }, withinSeconds: MOST_SECONDS },
    signal,
  );
}

/** The demo may be run again over what an earlier demo left, and over nobody else's files. */
async function clearEarlierDemo(out: string): Promise<void> {
  if (!(await exists(out))) return;
  const folder = runFolder(out);
  if (!(await stat(out)).isDirectory()) throw new InputError(`${out} is a file. Give a folder with --out.`);
  const options = await readOptions(folder.options);
  const own = typeof options === "object" && options !== null && "data" in options && options.data === assetPath(TRAINING);
  if (!own && (await readdir(out)).length > 0)
    throw new InputError(`${out} exists and was not made by the demo. Give another folder with --out.`);
  for (const path of Object.values(folder).filter((each) => each !== folder.path)) await rm(path, { recursive: true, force: true });
}

/** What the options file of a run holds; undefined where it is missing or no YAML, as in a folder that is not the demo's. */
async function readOptions(path: string): Promise<unknown> {
  try {
    return parse(await readFile(path, "utf8"));
  } catch {
    return undefined;
  }
}
