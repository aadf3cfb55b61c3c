// Our side: trains on the batches of a file from an adapter's folder, and prints a JSON line a step and one at the end.
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import type { Batch } from "../src/data/batch.js";
import { vectorFromAdapter } from "../src/lora/adapter.js";
import { readAdapterFolder } from "../src/lora/node/adapter-folder.js";
import { nodeEngine } from "../src/runtime/node/engine.js";
import { GradientProgram } from "../src/training/gradient-program.js";
import { createOptimizer } from "../src/training/optimizer.js";
import { openModel } from "../src/workflows/node/open-model.js";
import type { Precision } from "../src/workflows/options.js";
import { decodeBatches, toBatch } from "./batch-file.js";
import type { StepMeasure } from "./comparison.js";
import { peakBytes, resetPeak } from "./memory.js";
import { training } from "./recipe.js";
import { readPrecision } from "./sides.js";

interface Arguments {
  readonly model: string;
  readonly adapter: string;
  readonly batches: string;
  readonly steps: number;
  readonly precision: Precision;
}

function readArguments(): Arguments {
  const text = { type: "string", default: "" } as const;
  const { values } = parseArgs({ options: { model: text, adapter: text, batches: text, steps: text, precision: text } });
  return { ...values, steps: Number(values.steps), precision: readPrecision(values.precision) };
}

/** Loads everything and returns the training step, from a batch to the changed adapter. */
async function prepareStep({ model, adapter, precision }: Arguments, batches: readonly Batch[]) {
  const opened = await openModel(model, { target: "cpu", precision });
  const { layout, vector } = vectorFromAdapter(await readAdapterFolder(adapter), opened.model);
  const maxTokens = batches.reduce((longest, { tokens }) => Math.max(longest, tokens), 0);
  const maxSupervised = batches.reduce((most, { targets }) => Math.max(most, targets.length), 0);
  const program = await GradientProgram.compile(nodeEngine, { model: opened.model, layout, maxTokens, maxSupervised }, opened.compile);
  const { learningRate, clip, ...settings } = training;
  const optimizer = createOptimizer({ kind: "adamw", ...settings }, layout.length);
  const gradient = new Float32Array(layout.length);
  return async (batch: Batch, number: number): Promise<number> => {
    const { loss, count } = await program.run(batch, vector, gradient);
    await optimizer.update(vector, gradient, { count, clip, learningRate, step: number });
    return loss / count;
  };
}

async function main(): Promise<void> {
  const given = readArguments();
  const batches = decodeBatches(readFileSync(given.batches, "utf8")).map(toBatch);
  const takeStep = await prepareStep(given, batches);
  const peakOf = resetPeak();
  for (let step = 0; step < given.steps; step++) {
    const batch = batches[step % batches.length];
    if (batch === undefined) throw new Error(`${given.batches} holds no batch`);
    const started = performance.now();
    const loss = await takeStep(batch, step + 1);
    const measure: StepMeasure = { loss, seconds: (performance.now() - started) / 1000 };
    console.log(JSON.stringify(measure));
  }
  console.log(JSON.stringify({ peakBytes: peakBytes(peakOf), peakOf }));
}

await main();
