// npm run bench: trains the same batches here and in PEFT, in turns, and compares speed, memory and losses. See README.md.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { InputError } from "../src/errors.js";
import {
  compare,
  disagreeing,
  LOSS_TOLERANCE,
  type PeerRuns,
  patienceAfter,
  type ResultRow,
  type RunMeasure,
  type StepMeasure,
  warmSteps,
} from "./comparison.js";
import { type BenchOptions, defaults, readOptions, usage } from "./options.js";
import { bundleOurs, machineRecord, type PreparedWork, prepareModel, writeInitialAdapter, writeWork } from "./prepare.js";
import { findPython, type PeerPython } from "./python.js";
import { model, training } from "./recipe.js";
import { type BenchResult, conditions, remarks, resultPage, resultTable } from "./result.js";
import { runSide, type SideCommand } from "./side.js";
import { works } from "./works.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "../.."); // this file runs as bench/scratch/run.mjs
const bench = join(root, "bench");
const workFolder = join(bench, "scratch");

/** glibc gives no memory back and maps none anew for each step, or PyTorch pays for page faults in every one. */
const tunedAllocator = { MALLOC_MMAP_MAX_: "0", MALLOC_TRIM_THRESHOLD_: `${2 ** 34}`, MALLOC_TOP_PAD_: `${2 ** 30}` };

/** A side must not outlive the bench. */
const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => interruption.abort());

const note = (message: string): void => console.error(message);

/** Starts a side on a work's batches. */
type Starter = (work: PreparedWork) => SideCommand;

interface Sides {
  readonly ours: Starter;
  readonly peers: readonly { readonly name: string; readonly exact: boolean; readonly start: Starter }[];
}

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
  else console.log([resultTable(result.rows), "", ...remarks(result.rows), ...conditions(result)].join("\n"));
  await keep(result, options);
  const wrong = disagreeing(result.rows);
  if (wrong.length === 0) return;
  const list = wrong.map(({ work, lossDifference }) => `${work} (${lossDifference?.toExponential(1)})`).join(", ");
  note(`The losses of ours and of PEFT in fp32 differ by more than ${LOSS_TOLERANCE}: ${list}. The speeds cannot be compared.`);
  process.exitCode = 1;
}

async function measure(options: BenchOptions, python: PeerPython | undefined): Promise<BenchResult> {
  const opened = await prepareModel(model, note);
  const adapter = join(workFolder, "adapter");
  await writeInitialAdapter(opened, adapter);
  const sides: Sides = {
    ours: ourStarter(await bundleOurs(bench), adapter, options.steps),
    peers: python === undefined ? [] : peerStarters(python, opened.path, adapter, options.steps),
  };
  const rows: ResultRow[] = [];
  const runs: RunMeasure[] = [];
  for (const work of works.filter(({ name }) => options.works.includes(name))) {
    const measured = await measureWork(await writeWork(work, root, workFolder, opened), sides, options);
    rows.push(measured.row);
    runs.push(...measured.runs);
  }
  const { steps, rounds } = options;
  const peakOf = runs.every((run) => run.peakOf === "training") ? "training" : "process";
  return {
    machine: machineRecord(python),
    run: { date: new Date().toISOString(), model, steps, warmSteps: warmSteps(steps), rounds, peakOf },
    rows,
  };
}

/** Runs the sides in turns, so that a busy minute of the machine meets all of them. */
async function measureWork(work: PreparedWork, sides: Sides, { rounds, steps }: BenchOptions) {
  const ours: RunMeasure[] = [];
  const peers = sides.peers.map((peer) => ({ ...peer, runs: [] as RunMeasure[], isGivenUp: false }));
  for (let round = 1; round <= rounds; round++) {
    const run = (side: SideCommand, patience?: number): Promise<RunMeasure | undefined> => {
      note(`${work.name}, round ${round} of ${rounds}, ${side.name} …`);
      return runSide(side, { onStep: stepTeller(steps), signal: interruption.signal, patience });
    };
    ours.push(...present(await run(sides.ours(work))));
    let patience: number | undefined;
    for (const peer of peers.filter(({ isGivenUp }) => !isGivenUp)) {
      const started = performance.now();
      const measured = await run(peer.start(work), patience);
      peer.runs.push(...present(measured));
      peer.isGivenUp = measured === undefined;
      if (measured === undefined) note(`  given up: it takes more than three times as long as fp32`);
      if (peer.exact) patience = patienceAfter((performance.now() - started) / 1000);
    }
  }
  return {
    row: compare(work.name, work.elements, ours, peers satisfies readonly PeerRuns[]),
    runs: [...ours, ...peers.flatMap(({ runs }) => runs)],
  };
}

function present(measured: RunMeasure | undefined): RunMeasure[] {
  return measured === undefined ? [] : [measured];
}

function stepTeller(steps: number): (step: StepMeasure) => void {
  let step = 0;
  return ({ loss, seconds }) => {
    step++;
    note(`  step ${step} of ${steps}: loss ${loss.toFixed(5)}, ${seconds.toFixed(2)} s`);
  };
}

function ourStarter(script: string, adapter: string, steps: number): Starter {
  return ({ batches }) => {
    const args = [script, "--model", model, "--adapter", adapter, "--batches", batches, "--steps", `${steps}`];
    return { name: "ours", command: process.execPath, args, env: {} };
  };
}

function peerStarters(python: PeerPython, modelPath: string, adapter: string, steps: number): Sides["peers"] {
  const allocator = process.platform === "linux" ? ", allocator tuned" : "";
  return (["fp32", "bf16"] as const).map((precision) => {
    const name = `peft ${precision}${allocator}`;
    const start: Starter = ({ batches }) => ({
      name,
      command: python.path,
      args: [
        join(bench, "peer.py"),
        ...["--model", modelPath, "--adapter", adapter, "--batches", batches, "--precision", precision, "--steps", `${steps}`],
        ...["--learning-rate", `${training.learningRate}`, "--beta1", `${training.beta1}`, "--beta2", `${training.beta2}`],
        ...["--epsilon", `${training.epsilon}`, "--weight-decay", `${training.weightDecay}`, "--clip", `${training.clip}`],
      ],
      env: { ...tunedAllocator, HF_HUB_OFFLINE: "1" },
    });
    return { name, exact: precision === "fp32", start };
  });
}

/** Keeps the numbers of a full run whose losses agree; a trial must not replace them. */
async function keep(result: BenchResult, options: BenchOptions): Promise<void> {
  const isFull = options.works.length === works.length && options.steps >= defaults.steps && options.rounds >= defaults.rounds;
  const isCompared = result.rows.every(({ peer }) => peer !== null) && disagreeing(result.rows).length === 0;
  if (!isFull || !isCompared) {
    note(
      "bench/results is left as it was: it keeps full runs alone (every work, the default steps and rounds or more, PEFT, equal losses).",
    );
    return;
  }
  const folder = join(bench, "results");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "latest.json"), `${JSON.stringify(result, null, 2)}\n`);
  await writeFile(join(folder, "README.md"), resultPage(result));
  note("bench/results/latest.json and bench/results/README.md are written.");
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
