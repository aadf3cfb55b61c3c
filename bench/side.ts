import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { RunError } from "../src/errors.js";
import type { RunMeasure, StepMeasure } from "./comparison.js";

/** How a side is started: a command that prints a JSON line a step and one at the end. */
export interface SideCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Variables beside those of this process. */
  readonly env: Readonly<Record<string, string>>;
}

/** Characters of a failed child's errors that are shown. */
const SHOWN_ERRORS = 4000;

export interface RunSideOptions {
  readonly onStep: (step: StepMeasure) => void;
  /** Ends the side. */
  readonly signal: AbortSignal;
  /** Seconds after which the side is ended and given up; without it the side takes as long as it takes. */
  readonly patience?: number | undefined;
}

/** Runs a side in a process of its own; undefined when it is given up. Throws RunError with what it wrote when it fails. */
export async function runSide(side: SideCommand, { onStep, signal, patience }: RunSideOptions): Promise<RunMeasure | undefined> {
  const late = patience === undefined ? undefined : AbortSignal.timeout(Math.ceil(patience * 1000));
  try {
    return await runChild(side, onStep, late === undefined ? signal : AbortSignal.any([signal, late]));
  } catch (error) {
    if (late?.aborted === true && !signal.aborted) return undefined;
    throw error;
  }
}

async function runChild(side: SideCommand, onStep: (step: StepMeasure) => void, signal: AbortSignal): Promise<RunMeasure> {
  const child = spawn(side.command, side.args, { env: { ...process.env, ...side.env }, stdio: ["ignore", "pipe", "pipe"], signal });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors = (errors + text).slice(-SHOWN_ERRORS);
  });
  const ended = new Promise<string | undefined>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, killedBy) => resolve(code === 0 ? undefined : (killedBy ?? `exit code ${code}`)));
  });
  const steps: StepMeasure[] = [];
  let last: Pick<RunMeasure, "peakBytes" | "peakOf"> | undefined;
  const lines = readLines(child.stdout, (line) => {
    const record = parseRecord(line);
    if (record === undefined) return;
    if ("peakOf" in record) last = record;
    else {
      steps.push(record);
      onStep(record);
    }
  });
  const [failure] = await Promise.all([ended, lines]);
  if (failure !== undefined || last === undefined) {
    const ending = failure ?? "its last line is missing";
    throw new RunError(`${side.name} ended after ${steps.length} steps (${ending}).\n${errors.trim()}`);
  }
  return { steps, ...last };
}

async function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream })) onLine(line);
}

/** A record of a side; undefined for a line of any other kind, such as a library's greeting. */
export function parseRecord(line: string): StepMeasure | Pick<RunMeasure, "peakBytes" | "peakOf"> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { loss, seconds, peakBytes, peakOf } = value as Record<string, unknown>;
  // JSON has no NaN: a loss that is no number arrives as null.
  if (typeof seconds === "number") return { loss: typeof loss === "number" ? loss : Number.NaN, seconds };
  if (peakOf === "training" || peakOf === "process") return { peakBytes: typeof peakBytes === "number" ? peakBytes : null, peakOf };
  return undefined;
}
