import { disagreements, LOSS_TOLERANCE, ROUNDED_LOSS_TOLERANCE, type TrainRow, warmSteps } from "./comparison.js";
import type { ResultRow } from "./rows.js";
import { resultTables } from "./tables.js";

/** The machine and the versions that a result holds for. */
export interface MachineRecord {
  readonly processor: string;
  /** Processors that the system shows. */
  readonly processors: number;
  readonly memoryBytes: number;
  readonly platform: string;
  /** Names and versions: node, the engine, and on the peer's side python, torch, … */
  readonly versions: Readonly<Record<string, string>>;
}

export interface BenchResult {
  readonly machine: MachineRecord;
  readonly run: { readonly date: string; readonly model: string };
  readonly rows: readonly ResultRow[];
}

/** What must be said beside the tables: how far the losses lie apart, how often was measured, and who was given up. */
export function remarks(rows: readonly ResultRow[]): string[] {
  return rows.flatMap(remarksOn);
}

function remarksOn(row: ResultRow): string[] {
  const said = `measured on ${row.date.slice(0, 10)}`;
  switch (row.kind) {
    case "train":
      return trainRemarks(row, said);
    case "loss":
      return [
        `${row.work}: ${said}; mean over the learned tokens of 100 rows that are never trained on; the target is a ratio within 1 %, which the spread of the seeds must allow to be seen.`,
      ];
    case "start":
      return [`${row.work}: ${said}; weights in the cache, median of ${row.runs.length}.`];
    case "generate":
      return [
        `${row.work}: ${said}; one prompt of ${row.promptTokens} tokens, ${row.newTokens} new ones, greedy; medians of ${row.rounds}.${agreement(row)}`,
      ];
    case "adapters":
      return [
        `${row.work}: ${said}; prompts of ${row.promptTokens} tokens, ${row.newTokens} new ones, speeds of all rows together; ranks 8, 16 and 24 in turn, one for all of rank 16, random values; medians of ${row.rounds}.`,
      ];
    case "memory":
      return [`${row.work}: ${said}; random weights; peak memory ${peakWords(row.peakOf)}.`];
    case "curves":
      return [
        `${row.work}: ${said}; ${row.steps} steps each; limits by one large product: ${gigaflops(row.limits.fp32)} in fp32, ${gigaflops(row.limits.int8)} in int8.`,
      ];
    case "plan":
      return [`${row.work}: ${said}; ${row.steps} updates each; the targets are 15 % in memory and 25 % in time.`];
  }
}

function trainRemarks(row: TrainRow, said: string): string[] {
  const { work, lossDifference, roundedLossDifference, steps, rounds } = row;
  const differences = [
    ...(lossDifference === null ? [] : [`${lossDifference.toExponential(1)} in fp32 (at most ${LOSS_TOLERANCE})`]),
    ...(roundedLossDifference === null ? [] : [`${roundedLossDifference.toExponential(1)} in int8 (at most ${ROUNDED_LOSS_TOLERANCE})`]),
  ];
  const wrong = disagreements(row);
  return [
    `${work}: ${said}; ${rounds} round${rounds === 1 ? "" : "s"} in turns, medians; ${steps} steps, of which the last ${steps - warmSteps(steps)} count; peak memory ${peakWords(row.peakOf)}.`,
    ...(differences.length === 0
      ? []
      : [
          `${work}: losses of ours and of PEFT in fp32 differ by ${differences.join(", ")}; ${wrong.length === 0 ? "they agree" : "the sides did NOT do the same work"}.`,
        ]),
    ...row.givenUp.map((name) => `${work}: ${name} was given up after three times the time of fp32; fp32 is the faster on this machine.`),
  ];
}

function peakWords(of: TrainRow["peakOf"]): string {
  return of === "training"
    ? "of training, loading left out (VmHWM)"
    : "of the whole process, loading included (the system cannot reset it)";
}

function agreement({ all, peer }: Extract<ResultRow, { kind: "generate" }>): string {
  const exact = all.find(({ name }) => name === "fp32");
  if (peer === null || exact === undefined) return "";
  const differing = exact.ids.findIndex((id, index) => id !== peer.ids[index]);
  const same = differing === -1 ? exact.ids.length : differing;
  return ` The first ${same} new tokens of ours in fp32 and of the peer are the same.`;
}

function gigaflops(speed: number | null): string {
  return speed === null ? "none" : `${(speed / 1e9).toFixed(0)} billion operations a second`;
}

/** What the numbers hold for, a line each. */
export function conditions({ machine, run }: BenchResult): string[] {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${machine.processor}, ${machine.processors} processors, ${(machine.memoryBytes / 1e9).toFixed(0)} GB, ${machine.platform}`,
    versions.join(", "),
    `${run.model}, LoRA rank 16, alpha 32 on all linear layers, AdamW, gradients clipped to norm 1`,
    "tokens/s of the examples, padding not counted",
  ];
}

/** The rows of two results, the newer one's in place of the older one's; in the order of `works`. */
export function mergeRows(older: readonly ResultRow[], newer: readonly ResultRow[], works: readonly string[]): ResultRow[] {
  return works.flatMap((work) => newer.find((row) => row.work === work) ?? older.find((row) => row.work === work) ?? []);
}

/** The page beside the kept numbers. */
export function resultPage(result: BenchResult): string {
  return [
    "# The last full run of the bench",
    "",
    `Written by \`npm run bench\` on ${result.run.date.slice(0, 10)}; the same numbers, with the loss of every step, are in \`latest.json\`.`,
    "Rows may have been measured anew since, each on its own date below.",
    "",
    "![Tokens a second](chart.svg)",
    "",
    resultTables(result.rows),
    "",
    ...[...remarks(result.rows), ...conditions(result)].map((line) => `- ${line}`),
    "",
  ].join("\n");
}
