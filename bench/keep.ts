import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chart } from "./chart.js";
import { disagreements } from "./comparison.js";
import { type BenchOptions, defaults } from "./options.js";
import { type BenchResult, mergeRows, resultPage } from "./result.js";

/** Why a result must not be kept; undefined where it may. A trial must not replace the numbers of a full run. */
export function reasonAgainst(result: BenchResult, options: BenchOptions, works: readonly string[]): string | undefined {
  if (options.steps !== undefined || options.rounds < defaults.rounds) return "it is a trial (its steps or rounds are not the default)";
  if (options.works.length < works.length && !options.merge) return "some works are missing (--merge keeps their earlier rows)";
  for (const row of result.rows) {
    if (row.kind === "train" && row.peer === null) return `${row.work} was measured without its peer`;
    if (row.kind === "train" && disagreements(row).length > 0) return `the losses of ${row.work} do not agree`;
  }
  return undefined;
}

/** Writes a result that may be kept into `folder`, beside the rows that are there where it is a part, and says what was done. */
export async function keep(folder: string, result: BenchResult, options: BenchOptions, works: readonly string[]): Promise<string> {
  const reason = reasonAgainst(result, options, works);
  if (reason !== undefined) return `bench/results is left as it was: ${reason}.`;
  const file = join(folder, "latest.json");
  const older = options.merge ? await readResult(file) : undefined;
  if (older !== undefined && older.machine.processor !== result.machine.processor)
    return `bench/results is left as it was: its rows were measured on another machine, ${older.machine.processor}.`;
  const kept: BenchResult = { ...result, rows: mergeRows(older?.rows ?? [], result.rows, works) };
  await mkdir(folder, { recursive: true });
  await writeFile(file, `${JSON.stringify(kept, null, 2)}\n`);
  await writeFile(join(folder, "chart.svg"), chart(kept.rows));
  await writeFile(join(folder, "README.md"), resultPage(kept));
  return "bench/results/latest.json, README.md and chart.svg are written.";
}

async function readResult(file: string): Promise<BenchResult | undefined> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}
