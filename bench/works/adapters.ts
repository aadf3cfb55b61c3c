import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { type AdaptersTask, type AdapterUse, adaptersArguments, type BatchMeasure } from "../adapters-task.js";
import { runForJson } from "../child.js";
import { median } from "../comparison.js";
import { bundle } from "../prepare.js";
import type { AdapterPoint, AdaptersRow } from "../rows.js";
import type { Surroundings, Work } from "../work.js";
import { textIds } from "./texts.js";

const PROMPT_TOKENS = 64;
const NEW_TOKENS = 32;

/** Batches, each with what its rows have in turn. */
const BATCHES: readonly (readonly [rows: number, uses: readonly AdapterUse[]])[] = [
  [1, ["none", "alone", 1]],
  [8, ["none", "alone", 1, 8]],
  [64, ["none", "alone", 1, 8, 64]],
];

export const adaptersWork: Work = {
  name: "adapters",
  description: `${NEW_TOKENS} tokens after prompts of ${PROMPT_TOKENS}, rows with adapters of their own beside one adapter for all and none`,
  measure,
};

async function measure({ root, bench, scratch, options, model, precisions, signal, note }: Surroundings): Promise<AdaptersRow> {
  const newTokens = options.steps === undefined ? NEW_TOKENS : Math.max(2, options.steps);
  const script = await bundle(bench, "answer-adapters");
  const tasks: AdaptersTask[] = [];
  for (const [rows, uses] of BATCHES) {
    const prompt = join(scratch, `adapters-${rows}.json`);
    await writeFile(prompt, JSON.stringify(await textIds(root, model.codec, rows * PROMPT_TOKENS)));
    for (const precision of precisions.flatMap((each) => (each === "4bit" ? [] : [each]))) {
      for (const adapters of uses) tasks.push({ model: model.name, precision, prompt, rows, adapters, newTokens, threads: cpus().length });
    }
  }
  const measures = new Map<AdaptersTask, BatchMeasure[]>(tasks.map((task) => [task, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const [task, runs] of measures) {
      note(`adapters, round ${round} of ${options.rounds}, ${task.precision}, ${task.rows} rows, adapters: ${task.adapters} …`);
      runs.push((await runForJson(process.execPath, [script, ...adaptersArguments(task)], { signal })) as BatchMeasure);
    }
  }
  return {
    kind: "adapters",
    work: "adapters",
    date: new Date().toISOString(),
    rounds: options.rounds,
    promptTokens: PROMPT_TOKENS,
    newTokens,
    points: tasks.map((task) => adapterPoint(task, measures.get(task) ?? [])),
  };
}

/** The speeds of a batch, of all its rows together, in the middle of its rounds. */
export function adapterPoint(
  { precision, rows, adapters, newTokens }: Pick<AdaptersTask, "precision" | "rows" | "adapters" | "newTokens">,
  runs: readonly BatchMeasure[],
): AdapterPoint {
  return {
    precision,
    rows,
    adapters,
    prefill: median(runs.map(({ first }) => (rows * PROMPT_TOKENS) / first)),
    decode: median(runs.map(({ others }) => (rows * (newTokens - 1)) / others)),
  };
}
