import { appendFile, mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { InputError } from "../../src/errors.js";
import type { GeneralMeasure } from "../../src/evaluation/general.js";
import type { TokenLoss } from "../../src/evaluation/subject.js";

/** What a run is: a choice, a seed, a learning rate, and whether it chose the rate or answers the question. */
export interface RunKey {
  readonly stage: "base" | "pilot" | "main";
  readonly id: string;
  readonly seed: number;
  readonly lr: number;
}

/** Losses of texts as [nats, tokens], in the order of the texts. */
export type Losses = readonly (readonly [nll: number, count: number])[];

/** A run that has ended: a line of the results file. */
export interface RunResult extends RunKey {
  readonly model: string;
  /** Of the training; everything is measured in fp32. */
  readonly precision: string;
  readonly parameters: number;
  readonly steps: number;
  /** Mean loss of the last quarter of the updates, nats a token. */
  readonly trainLoss: number | null;
  readonly losses: Losses;
  /** Of the general probe; not asked in a pilot. */
  readonly general: { readonly passages: Losses; readonly right: string } | null;
  readonly seconds: number;
}

export const sameRun = (a: RunKey, b: RunKey): boolean => a.stage === b.stage && a.id === b.id && a.seed === b.seed && a.lr === b.lr;

/** The lines of earlier calls; none where the file is not there yet. A line that a kill cut short is passed over: its run is done again. */
export async function readResults(file: string): Promise<RunResult[]> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  const lines = text.split("\n");
  return lines.flatMap((line, index) => {
    if (line === "") return [];
    try {
      return [JSON.parse(line) as RunResult];
    } catch (cause) {
      if (CUT_SHORT.test(line)) return [];
      throw new InputError(`${file}:${index + 1}: is no result of a run. Take the line out; its run is done again.`, { cause });
    }
  });
}

/** A line begins on its own even behind one that a kill cut short. */
export async function appendResult(file: string, result: RunResult): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const before = await readFile(file, "utf8").catch(() => "");
  await appendFile(file, `${before === "" || before.endsWith("\n") ? "" : "\n"}${JSON.stringify(result)}\n`);
}

/** The beginning of a result without its end. */
const CUT_SHORT = /^\{"stage":(?!.*\}$)/;

/** A ten-thousandth of a nat is far below all noise, and keeps the file small. */
const short = (value: number): number => Number(value.toFixed(4));

export const lossesOf = (losses: readonly TokenLoss[]): Losses => losses.map(({ nll, count }) => [short(nll), count]);

export const generalOf = ({ cloze, passages }: GeneralMeasure): RunResult["general"] => ({
  passages: lossesOf(passages.losses),
  right: cloze.correct.map((right) => (right ? "1" : "0")).join(""),
});
