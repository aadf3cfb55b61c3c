// Answers a batch whose rows have adapters of random values, and prints how long it took: the work `adapters`.
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { createRandom } from "../src/data/random.js";
import { GenerationProgram, type Stepper, withAdapters } from "../src/generation/generation-program.js";
import { argMax } from "../src/generation/sampling.js";
import type { InferenceAdapter } from "../src/lora/inference.js";
import { buildLayout } from "../src/lora/layout.js";
import { AdapterRows } from "../src/lora/serving/adapter-rows.js";
import { servedAdapter } from "../src/lora/serving/served-adapter.js";
import { sitesOf } from "../src/lora/serving/sites.js";
import { nodeEngine } from "../src/runtime/node/engine.js";
import { openModel } from "../src/workflows/node/open-model.js";
import { adapterOfRow, type BatchMeasure, RANK, RANKS, readAdaptersTask } from "./adapters-task.js";

const { model: name, precision, prompt, rows, adapters: use, newTokens, threads } = readAdaptersTask();
const { model, compile } = await openModel(name, { target: "cpu", precision, threads, answering: true });
const ids: readonly number[] = JSON.parse(readFileSync(prompt, "utf8"));
const tokens = Math.floor(ids.length / rows);
const prompts = Array.from({ length: rows }, (_, row) => ids.slice(row * tokens, (row + 1) * tokens));
const options = { model, maxPositions: tokens + newTokens };

/** A LoRA on all linear layers. */
function randomAdapter(rank: number, seed: number): InferenceAdapter {
  const layout = buildLayout(model.linearGroups.map((group) => group.map((layer) => ({ ...layer, rank, scale: 2 }))));
  const vector = new Float32Array(layout.length);
  createRandom(seed).fillNormal(vector, 0.01);
  return { layout, vector };
}

/** Begins a batch: what its adapters take to be stacked counts for its prompts. */
async function openBatch(): Promise<() => Stepper> {
  if (typeof use === "string") {
    const adapter = use === "alone" ? randomAdapter(RANK, 1) : undefined;
    const program = await GenerationProgram.compile(nodeEngine, { ...options, adapter }, compile);
    return () => program;
  }
  const served = Array.from({ length: use }, (_, index) =>
    servedAdapter(randomAdapter(use === 1 ? RANK : (RANKS[index % RANKS.length] ?? RANK), index), model.linearGroups),
  );
  const sites = sitesOf(served, model.linearGroups);
  const program = await GenerationProgram.compile(nodeEngine, { ...options, sites }, compile);
  const list = prompts.map((_, row) => served[adapterOfRow(row, rows, use)]);
  return () => withAdapters(program, new AdapterRows(sites, list));
}

async function timeBatch(stepper: Stepper, count: number): Promise<BatchMeasure> {
  const started = performance.now();
  const cache = stepper.cache(rows, options.maxPositions);
  const next = (logits: Float32Array) =>
    prompts.map((_, row) => [argMax(logits.subarray(row * stepper.vocabulary, (row + 1) * stepper.vocabulary))]);
  let fed = next(await stepper.step(cache, prompts));
  const first = performance.now();
  for (let token = 1; token < count; token++) fed = next(await stepper.step(cache, fed));
  return { first: (first - started) / 1000, others: (performance.now() - first) / 1000 };
}

const begin = await openBatch();
await timeBatch(begin(), 3); // the first run plans and takes its memory
console.log(JSON.stringify(await timeBatch(begin(), newTokens)));
