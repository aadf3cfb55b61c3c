import { performance } from "node:perf_hooks";
import type { TextCodec } from "../../src/text/tokenizer.js";
import type { FileBatch } from "../batch-file.js";
import { compare, patienceAfter, type RunMeasure, type StepMeasure } from "../comparison.js";
import { bundle, writeBatches } from "../prepare.js";
import { runSide } from "../side.js";
import { ourSide, peerSides, type Side } from "../sides.js";
import type { Surroundings, Work } from "../work.js";
import { demoBatches, textBatches } from "./texts.js";

interface TrainWork {
  readonly name: string;
  readonly description: string;
  /** Updates of a run. */
  readonly steps: number;
  batches(root: string, codec: TextCodec): Promise<FileBatch[]>;
}

const works: readonly TrainWork[] = [
  {
    name: "train-256",
    description: "plain text, batches of 4 rows of 256 tokens, every token learned",
    steps: 12,
    batches: (root, codec) => textBatches(root, codec, 4, 256, 5),
  },
  {
    name: "train-demo",
    description: "the demo's conversations, batches of 8 of unequal lengths, only the answers learned",
    steps: 12,
    batches: (root, codec) => demoBatches(root, codec, 8, 24),
  },
  {
    name: "train-1024",
    description: "plain text, batches of 4 rows of 1024 tokens, every token learned",
    steps: 4,
    batches: (root, codec) => textBatches(root, codec, 4, 1024, 4),
  },
  {
    name: "train-4096",
    description: "plain text, batches of one row of 4096 tokens, every token learned",
    steps: 4,
    batches: (root, codec) => textBatches(root, codec, 1, 4096, 4),
  },
];

/** The same training here and in PEFT. */
export const trainWorks: readonly Work[] = works.map((work) => ({
  name: work.name,
  description: work.description,
  measure: (surroundings) => measure(work, surroundings),
}));

/** Runs the sides in turns, so that a busy minute of the machine meets all of them. */
async function measure({ name, steps: own, batches }: TrainWork, surroundings: Surroundings) {
  const { root, bench, scratch, options, model, adapter, precisions, python, signal, note } = surroundings;
  const steps = options.steps ?? own;
  const work = await writeBatches(name, await batches(root, model.codec), scratch);
  const script = await bundle(bench, "ours");
  const withRuns = (side: Side) => ({ ...side, runs: [] as RunMeasure[], isGivenUp: false });
  const ours = precisions.map((precision) => withRuns(ourSide(script, { model: model.name, adapter, work, steps }, precision)));
  const peers = python === undefined ? [] : peerSides(python, bench, { model: model.path, adapter, work, steps }).map(withRuns);
  for (let round = 1; round <= options.rounds; round++) {
    const run = ({ command }: Side, patience?: number): Promise<RunMeasure | undefined> => {
      note(`${name}, round ${round} of ${options.rounds}, ${command.name} …`);
      return runSide(command, { onStep: stepTeller(steps, note), signal, patience });
    };
    for (const side of ours) side.runs.push(...present(await run(side)));
    let patience: number | undefined;
    for (const peer of peers.filter(({ isGivenUp }) => !isGivenUp)) {
      const started = performance.now();
      const measured = await run(peer, patience);
      peer.runs.push(...present(measured));
      peer.isGivenUp = measured === undefined;
      if (measured === undefined) note("  given up: it takes more than three times as long as fp32");
      if (peer.exact) patience = patienceAfter((performance.now() - started) / 1000);
    }
  }
  return compare(name, work.tokens, ours, peers, { date: new Date().toISOString(), steps, rounds: options.rounds });
}

function present(measured: RunMeasure | undefined): RunMeasure[] {
  return measured === undefined ? [] : [measured];
}

function stepTeller(steps: number, note: (message: string) => void): (step: StepMeasure) => void {
  let step = 0;
  return ({ loss, seconds }) => {
    step++;
    note(`  step ${step} of ${steps}: loss ${loss.toFixed(5)}, ${seconds.toFixed(2)} s`);
  };
}
