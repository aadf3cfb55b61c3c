// npm run bench: measures Lorikeet, beside PEFT and llama.cpp where they are installed. See README.md.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "../src/errors.js";
import { int8Support } from "../src/workflows/node/int8-support.js";
import type { Precision } from "../src/workflows/options.js";
import { runForJson } from "./child.js";
import { disagreements } from "./comparison.js";
import { keep } from "./keep.js";
import { type BenchOptions, readOptions, usage } from "./options.js";
import { bundle, machineRecord, prepareModel, writeInitialAdapter } from "./prepare.js";
import { findPython, type PeerPython } from "./python.js";
import { model as modelName } from "./recipe.js";
import { type BenchResult, conditions, remarks } from "./result.js";
import type { ResultRow } from "./rows.js";
import { resultTables } from "./tables.js";
import type { Surroundings } from "./work.js";
import { works } from "./works.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "../.."); // this file runs as bench/scratch/run.mjs
const bench = join(root, "bench");
const scratch = join(bench, "scratch");

/** A side must not outlive the bench. */
const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => interruption.abort());

const note = (message: string): void => console.error(message);

async function main(): Promise<void> {
  const names = works.map(({ name }) => name);
  const options = readOptions(process.argv.slice(2), names);
  if (options === undefined) {
    console.log(`${usage}\nworks:\n${works.map(({ name, description }) => `  ${name}: ${description}`).join("\n")}`);
    return;
  }
  const found = await findPython(bench);
  const python = "missing" in found ? undefined : found;
  if ("missing" in found) note(found.missing);
  for (const deviation of python?.deviations ?? []) note(`note: ${deviation}`);

  const result = await measure(options, python);
  if (options.json) console.log(JSON.stringify(result));
  else console.log([resultTables(result.rows), "", ...remarks(result.rows), ...conditions(result)].join("\n"));
  note(await keep(join(bench, "results"), result, options, names));
  const wrong = result.rows.flatMap((row) => (row.kind === "train" ? disagreements(row) : []));
  if (wrong.length === 0) return;
  note([...wrong, "The speeds cannot be compared."].join("\n"));
  process.exitCode = 1;
}

async function measure(options: BenchOptions, python: PeerPython | undefined): Promise<BenchResult> {
  const surroundings = await prepare(options, python);
  const rows: ResultRow[] = [];
  for (const work of works.filter(({ name }) => options.works.includes(name))) rows.push(await work.measure(surroundings));
  return { machine: machineRecord(python), run: { date: new Date().toISOString(), model: modelName }, rows };
}

async function prepare(options: BenchOptions, python: PeerPython | undefined): Promise<Surroundings> {
  const { exact } = await int8Support(undefined);
  if (!exact) note("int8 is not measured: this processor cuts sums of 8-bit products short.");
  const precisions: readonly Precision[] = exact ? ["fp32", "int8"] : ["fp32"];
  const model = await prepareModel(modelName, note);
  if (exact) await runForJson(process.execPath, [await bundle(bench, "open"), modelName, "int8"], { signal: interruption.signal });
  const adapter = join(scratch, "adapter");
  await writeInitialAdapter(model, adapter);
  return { root, bench, scratch, options, model, adapter, precisions, python, signal: interruption.signal, note };
}

main().catch((error: unknown) => {
  if (interruption.signal.aborted) {
    note("Interrupted.");
    process.exitCode = 130;
    return;
  }
  note(error instanceof InputError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = error instanceof InputError ? 2 : 1;
});
