import { parseArgs } from "node:util";
import { InputError } from "../src/errors.js";

export interface BenchOptions {
  readonly json: boolean;
  /** Updates in one run of one side. */
  readonly steps: number;
  /** Runs of each side, in turns. */
  readonly rounds: number;
  /** Names of the works to do. */
  readonly works: readonly string[];
}

/** A run with fewer steps or rounds than these is a trial: its numbers are shown, not kept. */
export const defaults = { steps: 12, rounds: 2 } as const;

export const usage = [
  "npm run bench -- [--json] [--steps N] [--rounds N] [--work NAME]",
  "  --json       print one JSON object instead of the table",
  `  --steps N    updates in each run (default ${defaults.steps}); the first few are left out of the speed`,
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
    steps: wholeNumber("--steps", values.steps, defaults.steps),
    rounds: wholeNumber("--rounds", values.rounds, defaults.rounds),
    works: known.filter((name) => chosen.includes(name)),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        json: { type: "boolean" },
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

function wholeNumber(option: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new InputError(`${option} must be a whole number from 1 to 999999, found ${JSON.stringify(text)}.`);
}
