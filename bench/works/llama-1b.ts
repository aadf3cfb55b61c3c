import { join } from "node:path";
import { describeModel } from "../../src/workflows/node/open-model.js";
import { runForJson } from "../child.js";
import { summarise } from "../comparison.js";
import { bundle, writeBatches, writeInitialAdapter } from "../prepare.js";
import { tinyLlamaShape, writeRandomLlama } from "../random-llama.js";
import type { MemoryRow } from "../rows.js";
import { runSide } from "../side.js";
import { ourSide } from "../sides.js";
import type { Surroundings, Work } from "../work.js";
import { textBatches } from "./texts.js";

const ROWS = 1;
const TOKENS = 512;
const STEPS = 3;

export const llama1bWork: Work = {
  name: "llama-1b",
  description: `peak memory of a step of a model of TinyLlama's shape, 1.1 billion random weights, ${ROWS} × ${TOKENS} tokens`,
  measure,
};

async function measure({ root, bench, scratch, options, model: small, precisions, signal, note }: Surroundings): Promise<MemoryRow> {
  const steps = options.steps ?? STEPS;
  const folder = join(scratch, "llama-1b");
  // What is converted of random weights is nothing for the user's own cache.
  const env = { LORIKEET_CACHE: join(folder, "cache") };
  note("llama-1b, writing random weights (once) …");
  await writeRandomLlama(folder, tinyLlamaShape, join(root, "tests/golden/tiny-chat")); // a small vocabulary, whose ids all fit
  const model = await describeModel(folder);
  const adapter = join(folder, "adapter");
  await writeInitialAdapter(model, adapter);
  const { vocabulary } = model.model.dimensions;
  const batches = (await textBatches(root, small.codec, ROWS, TOKENS, 2)).map(({ input_ids, lengths }) => {
    const rows = input_ids.map((row) => row.map((id) => id % vocabulary));
    return { input_ids: rows, labels: rows, lengths };
  });
  const work = await writeBatches("llama-1b", batches, scratch);
  const precision = precisions.includes("int8") ? "int8" : "fp32";
  note(`llama-1b, converting the weights to ${precision} (once) …`);
  await runForJson(process.execPath, [await bundle(bench, "open"), folder, precision], { signal, env });
  note(`llama-1b, ours in ${precision} …`);
  const side = ourSide(await bundle(bench, "ours"), { model: folder, adapter, work, steps }, precision, env);
  const run = await runSide(side.command, {
    signal,
    onStep: ({ loss, seconds }) => note(`  loss ${loss.toFixed(3)}, ${seconds.toFixed(1)} s`),
  });
  if (run === undefined) throw new Error("only a side with a limit is given up");
  return {
    kind: "memory",
    work: "llama-1b",
    date: new Date().toISOString(),
    parameters: model.parameters,
    batch: [ROWS, TOKENS],
    peakOf: run.peakOf,
    ours: { name: precision, ...summarise([run], work.tokens) },
  };
}
