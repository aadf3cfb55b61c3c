import { parseArgs } from "node:util";

/** What the rows of a batch have: no adapter; one in a program that takes it alone; or so many in a program that takes any. */
export type AdapterUse = "none" | "alone" | number;

/** A batch that is to be answered, told to a process of its own. */
export interface AdaptersTask {
  readonly model: string;
  readonly precision: "fp32" | "int8";
  /** A file with token ids, as many as all rows together have. */
  readonly prompt: string;
  readonly rows: number;
  readonly adapters: AdapterUse;
  readonly newTokens: number;
  readonly threads: number;
}

/** Seconds up to the first new token of all rows, and for the others. */
export interface BatchMeasure {
  readonly first: number;
  readonly others: number;
}

export const adaptersArguments = (task: AdaptersTask): readonly string[] =>
  Object.entries(task).flatMap(([name, value]) => [`--${name}`, `${value}`]);

export function readAdaptersTask(args: readonly string[] = process.argv.slice(2)): AdaptersTask {
  const text = { type: "string", default: "" } as const;
  const options = { model: text, precision: text, prompt: text, rows: text, adapters: text, newTokens: text, threads: text };
  const { values } = parseArgs({ args: [...args], options });
  const { adapters } = values;
  return {
    model: values.model,
    precision: values.precision === "int8" ? "int8" : "fp32",
    prompt: values.prompt,
    rows: Number(values.rows),
    adapters: adapters === "none" || adapters === "alone" ? adapters : Number(adapters),
    newTokens: Number(values.newTokens),
    threads: Number(values.threads),
  };
}

/** Ranks of the adapters of a batch, in turn; their mean is the rank of the adapter that all rows have. */
export const RANKS = [8, 16, 24] as const;
export const RANK = 16;

/** The number of each row's adapter: neighbours have the same, as when a batch begins. */
export const adapterOfRow = (row: number, rows: number, adapters: number): number => Math.floor((row * adapters) / rows);
