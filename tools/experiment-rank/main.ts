import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { InputError } from "../../src/errors.js";
import { type Choice, choices, firstPilots, laterPilots, type Pilot, recipe } from "./choices.js";
import { partByMeaning, readPairs } from "./e2e.js";
import { examplesOf, measure, openMeasured, readShortProbe } from "./measure.js";
import { performRun } from "./one-run.js";
import { writePage } from "./page.js";
import { appendResult, type RunKey, type RunResult, readResults, sameRun } from "./results.js";

// `npm run experiment:rank -- --data FILE [--out DIR] [--seeds 1,2,3]`: the questions of the LoRA paper's tables 3, 5 and 18 on E2E NLG.
// A run that has ended is a line in DIR/runs.jsonl and is not done again: the experiment can be stopped at any time and goes on where it
// was. `--tables` writes the tables and figures of what is there, and trains nothing.

const MODEL = "smollm2-135m";
/** Of the split; the same for all runs, so that they are compared on the same texts. */
const SPLIT_SEED = 1;
const SIZES = { scored: 120, choosing: 60 };
/** Of the pilot: not among the seeds of the runs that it serves. */
const PILOT_SEED = 100;

function readArguments() {
  const { values } = parseArgs({
    options: {
      data: { type: "string" },
      out: { type: "string", default: "out/experiment-rank" },
      seeds: { type: "string", default: "1,2,3" },
      tables: { type: "boolean", default: false },
    },
  });
  const seeds = values.seeds.split(",").map(Number);
  if (!seeds.every((seed) => Number.isSafeInteger(seed) && seed > 0 && seed !== PILOT_SEED))
    throw new InputError(`--seeds: expected whole numbers from 1 such as 1,2,3, not ${PILOT_SEED}, found ${values.seeds}.`);
  return { ...values, seeds };
}

interface PlannedRun {
  readonly key: RunKey;
  /** Absent for the model as it is. */
  readonly choice?: Choice;
}

/** Every run in the order in which they are done, so that those of the first seed, which say most, come early. */
function plannedRuns([first, ...more]: readonly number[]): readonly PlannedRun[] {
  const seeds = (some: readonly number[]) =>
    some.flatMap((seed) => choices.map((choice): PlannedRun => plannedRun("main", choice, seed, choice.options.lr ?? recipe.lr)));
  const pilots = (some: readonly Pilot[]) =>
    some.flatMap(({ id, rates }) =>
      choices.filter((choice) => choice.id === id).flatMap((choice) => rates.map((lr) => plannedRun("pilot", choice, PILOT_SEED, lr))),
    );
  const base: PlannedRun = { key: { stage: "base", id: "base", seed: 0, lr: 0 } };
  return [base, ...pilots(firstPilots), ...seeds(first === undefined ? [] : [first]), ...pilots(laterPilots), ...seeds(more)];
}

const plannedRun = (stage: RunKey["stage"], choice: Choice, seed: number, lr: number): PlannedRun => ({
  key: { stage, id: choice.id, seed, lr },
  choice,
});

async function runMissing(data: string, file: string, seeds: readonly number[]): Promise<void> {
  const done = await readResults(file);
  const missing = plannedRuns(seeds).filter(({ key }) => !done.some((result) => sameRun(result, key)));
  if (missing.length === 0) return;
  const text = await readFile(data, "utf8").catch((cause) => {
    throw new InputError(`${data} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  });
  const parts = partByMeaning(readPairs(text, data), SPLIT_SEED, SIZES);
  const opened = await openMeasured(MODEL);
  const [scored, choosing] = [examplesOf(opened, parts.scored), examplesOf(opened, parts.choosing)];
  const probe = await readShortProbe();
  for (const [index, { key, choice }] of missing.entries()) {
    const result: RunResult =
      choice === undefined
        ? {
            ...key,
            model: MODEL,
            precision: "fp32",
            parameters: 0,
            steps: 0,
            trainLoss: null,
            seconds: 0,
            ...(await measure(opened, undefined, scored, probe)),
          }
        : await performRun(key, choice, { model: MODEL, ...parts }, (folder) =>
            key.stage === "pilot" ? measure(opened, folder, choosing, undefined) : measure(opened, folder, scored, probe),
          );
    await appendResult(file, result);
    console.log(`${index + 1}/${missing.length} ${key.stage} ${key.id} seed ${key.seed} lr ${key.lr}: ${result.seconds} s`);
  }
}

try {
  const { data, out, seeds, tables } = readArguments();
  const file = join(out, "runs.jsonl");
  if (!tables) {
    if (data === undefined)
      throw new InputError("--data is missing: the file of E2E NLG, lines of facts||text (docs/experiments/rank.md says where it is).");
    await runMissing(data, file, seeds);
  }
  for (const [name, content] of writePage(await readResults(file))) await writeFile(join(out, name), content);
  console.log(`${file}, and beside it tables.md and the figures`);
} catch (error) {
  if (!(error instanceof InputError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
