import { parseArgs } from "node:util";
import { InputError } from "../src/errors.js";

export interface BenchOptions {
  readonly json: boolean;
  /** Keeps the rows of a part of the works beside those that are kept already. */
  readonly merge: boolean;
  /** Updates in one run of one side; undefined: as many as a work takes by itself. */
  readonly steps: number | undefined;
  /** Runs of each side, in turns. */
  readonly rounds: number;
  /** Names of the works to do. */
  readonly works: readonly string[];
}

/** A run with fewer rounds, or with steps of its own, is a trial: its numbers are shown, not kept. */
export const defaults = { rounds: 2 } as const;

export const usage = [
  "npm run bench -- [--json] [--merge] [--steps N] [--rounds N] [--work NAME]",
  "  --json       print one JSON object instead of the table",
  "  --merge      keep these works' rows in bench/results beside those of other works",
  "  --steps N    updates in each run, for a trial (default: what each work takes); nothing is kept",
  `  --rounds N   runs of each side, in turns (default ${defaults.rounds}); the medians count`,
  "  --work NAME  one work alone (default: all); may be given several times",
].join("\n");

/** Reads the command line; undefined when help is asked for. Throws InputError for what it does not know. */
export function readOptions(argv: readonly string[], known: readonly string[]): BenchOptions | undefined {
  const values = parse(argv);
  if (values.help === true) return undefined;
  const chosen = values.work ?? known;
  const unknown = chosen.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new InputError(`--work ${unknown.join(", ")}: there is no such work. There are: ${known.join(", ")}.`);
  return {
    json: values.json === true,
    merge: values.merge === true,
    steps: values.steps === undefined ? undefined : wholeNumber("--steps", values.steps),
    rounds: values.rounds === undefined ? defaults.rounds : wholeNumber("--rounds", values.rounds),
    works: known.filter((name) => chosen.includes(name)),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        json: { type: "boolean" },
        merge: { type: "boolean" },
        steps: { type: "string" },
        rounds: { type: "string" },
        work: { type: "string", multiple: true },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (cause) {
    throw new InputError(`${cause instanceof Error ? cause.message : String(cause)}\n${usage}`, { cause });
  }
}

function wholeNumber(option: string, text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new InputError(`${option} must be a whole number from 1 to 999999, found ${JSON.stringify(text)}.`);
}
