import { LOSS_TOLERANCE, type NamedSide, type PeakOf, type ResultRow } from "./comparison.js";

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

/** How the runs were made. */
export interface RunRecord {
  readonly date: string;
  readonly model: string;
  readonly steps: number;
  readonly warmSteps: number;
  readonly rounds: number;
  readonly peakOf: PeakOf;
}

export interface BenchResult {
  readonly machine: MachineRecord;
  readonly run: RunRecord;
  readonly rows: readonly ResultRow[];
}

const columns = ["work", "engine", "tokens/s", "peak memory", "loss, last step", "ours ÷ this"] as const;

/** The results as a Markdown table, its columns aligned so that it also reads well in a terminal. */
export function resultTable(rows: readonly ResultRow[]): string {
  const cells = rows.flatMap((row) => {
    const ours = { ...row.ours, name: "Lorikeet fp32" };
    return [ours, ...row.peers].map((side) => [
      side === ours ? row.work : "",
      side.name === row.peer?.name ? `${side.name} (the peer)` : side.name,
      side.tokensPerSecond.toFixed(0),
      gigabytes(side),
      side.loss.toFixed(5),
      side === ours ? "" : (row.ours.tokensPerSecond / side.tokensPerSecond).toFixed(2),
    ]);
  });
  const all = [columns, ...cells];
  const widths = columns.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const isNumber = (column: number) => column > 1;
  const line = (values: readonly string[]) =>
    `| ${values.map((value, column) => (isNumber(column) ? value.padStart(widths[column] ?? 0) : value.padEnd(widths[column] ?? 0))).join(" | ")} |`;
  const rule = `|${widths.map((width, column) => (isNumber(column) ? `${"-".repeat(width + 1)}:` : "-".repeat(width + 2))).join("|")}|`;
  return [line(columns), rule, ...cells.map(line)].join("\n");
}

function gigabytes({ peakBytes }: Pick<NamedSide, "peakBytes">): string {
  return peakBytes === null ? "unknown" : `${(peakBytes / 1e9).toFixed(2)} GB`;
}

/** What must be said beside the table: how far the losses lie apart, and who was given up. */
export function remarks(rows: readonly ResultRow[]): string[] {
  return rows.flatMap(({ work, lossDifference, givenUp }) => [
    ...(lossDifference === null ? [] : [`${work}: ${lossSentence(lossDifference)}`]),
    ...givenUp.map((name) => `${work}: ${name} was given up after three times the time of fp32; fp32 is the faster on this machine.`),
  ]);
}

function lossSentence(difference: number): string {
  const verdict =
    difference <= LOSS_TOLERANCE ? "they agree" : `more than ${LOSS_TOLERANCE.toExponential(0)}: the sides did NOT do the same work`;
  return `losses of ours and of PEFT in fp32 differ by at most ${difference.toExponential(1)} (relative); ${verdict}.`;
}

/** How the numbers were made, a line each. */
export function conditions({ machine, run }: BenchResult): string[] {
  const counted = run.steps - run.warmSteps;
  const peak =
    run.peakOf === "training"
      ? "of training, loading left out (VmHWM)"
      : "of the whole process, loading included (the system cannot reset it)";
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${machine.processor}, ${machine.processors} processors, ${(machine.memoryBytes / 1e9).toFixed(0)} GB, ${machine.platform}`,
    versions.join(", "),
    `${run.model}, LoRA rank 16, alpha 32 on all linear layers, AdamW, gradients clipped to norm 1`,
    `${run.rounds} round${run.rounds === 1 ? "" : "s"} in turns, medians; ${run.steps} steps, of which the last ${counted} count; tokens/s over batch elements, padding included`,
    `peak memory ${peak}`,
  ];
}

/** The page beside the kept numbers. */
export function resultPage(result: BenchResult): string {
  return [
    "# The last full run of the bench",
    "",
    `Written by \`npm run bench\` on ${result.run.date.slice(0, 10)}; the same numbers, with the loss of every step, are in \`latest.json\`.`,
    "",
    resultTable(result.rows),
    "",
    ...[...remarks(result.rows), ...conditions(result)].map((line) => `- ${line}`),
    "",
  ].join("\n");
}
