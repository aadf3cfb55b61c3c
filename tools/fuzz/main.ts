import { parseArgs } from "node:util";
import { InputError } from "../../src/errors.js";
import { type Finding, runCampaign, type Tally } from "./campaign.js";
import { keptInputs } from "./kept.js";
import { readers } from "./readers/index.js";
import { createSandbox } from "./sandbox.js";
import { createSubject } from "./subject-process.js";

// `npm run fuzz -- [--reader NAME[:N][,NAME[:N]]] [--inputs N] [--seed S] [--from K] [--keep DIR] [--replay DIR] [--json]`: reads real files
// with damage. Each must be read, or refused in words, within bounds of memory and time, and nothing may be written outside of the output
// folder. The same seed gives the same inputs; `--from K --inputs 1` repeats one, and `--replay` those that `--keep` kept. Ends with 1
// where an input showed a fault.

function readArguments() {
  const { values } = parseArgs({
    options: {
      reader: { type: "string", default: readers.map(({ name }) => name).join(",") },
      inputs: { type: "string", default: "1000" },
      seed: { type: "string", default: "1" },
      from: { type: "string", default: "0" },
      keep: { type: "string" },
      replay: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const count = (option: string, text: string) => {
    const number = Number(text);
    if (text.trim() === "" || !Number.isSafeInteger(number) || number < 0)
      throw new InputError(`--${option}: expected a whole number from 0, found ${text}.`);
    return number;
  };
  const inputs = count("inputs", values.inputs);
  const chosen = values.reader.split(",").map((each) => {
    const [name, own] = each.split(":");
    const reader = readers.find((one) => one.name === name);
    if (reader === undefined)
      throw new InputError(`--reader: there is no ${name}; there are ${readers.map((one) => one.name).join(", ")}.`);
    return { reader, inputs: own === undefined ? inputs : count("reader", own) };
  });
  const { keep, replay, json } = values;
  return { chosen, seed: count("seed", values.seed), from: count("from", values.from), keep, replay, json };
}

function describe({ reader, seeds, inputs, read, refused, mostGrown, longest, findings }: Tally): string {
  const counts = `${inputs} inputs of ${seeds} files: ${read} read, ${refused} refused, ${findings.length} faults`;
  return `${reader.padEnd(20)} ${counts}; at most ${Math.round(mostGrown / 2 ** 20)} MiB more and ${longest.toFixed(1)} s of processor time`;
}

async function main(): Promise<number> {
  const { chosen, json, replay, ...options } = readArguments();
  const sandbox = createSandbox();
  const subject = createSubject(new URL("./subject.js", import.meta.url).pathname, sandbox);
  const onFinding = ({ reader, input, what }: Finding) => console.error(`${reader} ${input}: ${what}\n`);
  const tallies: Tally[] = [];
  try {
    for (const { reader, inputs } of chosen) {
      const kept = replay === undefined ? undefined : keptInputs(replay, reader.name);
      const tally = await runCampaign(reader, subject, sandbox, { ...options, inputs, kept, onFinding });
      tallies.push(tally);
      console.log(json ? JSON.stringify(tally) : describe(tally));
    }
  } finally {
    subject.stop();
    sandbox.remove();
  }
  return tallies.some(({ findings }) => findings.length > 0) ? 1 : 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof InputError ? `error: ${error.message}` : error);
    process.exitCode = 2;
  },
);
