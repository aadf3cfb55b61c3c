import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describeModel } from "../../src/workflows/node/open-model.js";
import type { Precision } from "../../src/workflows/options.js";
import { runForJson } from "../child.js";
import { summarise } from "../comparison.js";
import { bundle, writeBatches, writeInitialAdapter } from "../prepare.js";
import { llama3bShape, writeRandomGguf } from "../random-gguf.js";
import { tinyLlamaShape, writeRandomLlama } from "../random-llama.js";
import type { MemoryRow } from "../rows.js";
import { runSide } from "../side.js";
import { ourSide } from "../sides.js";
import type { Surroundings, Work } from "../work.js";
import { textBatches } from "./texts.js";

const ROWS = 1;
const TOKENS = 512;
const STEPS = 3;

interface LargeModel {
  readonly name: string;
  readonly shape: string;
  readonly precision: (known: Surroundings["precisions"]) => Precision;
  /** Writes the model into a folder, if it is not there, with the tokenizer of a small one, and returns its path. */
  readonly write: (folder: string, tinyChat: string) => Promise<string>;
}

const works: readonly LargeModel[] = [
  {
    name: "llama-1b",
    shape: "TinyLlama's shape, 1.1 billion random weights",
    precision: (known) => (known.includes("int8") ? "int8" : "fp32"),
    write: async (folder, tinyChat) => {
      await writeRandomLlama(folder, tinyLlamaShape, tinyChat); // a small vocabulary, whose ids all fit
      return folder;
    },
  },
  {
    name: "llama-3b",
    shape: "Llama 3.2's shape of 3.2 billion random weights, in 4 bits",
    precision: () => "4bit",
    write: async (folder, tinyChat) => {
      const path = join(folder, "random.Q4_0.gguf");
      await writeRandomGguf(path, llama3bShape, join(tinyChat, "tiny-chat.gguf"));
      return path;
    },
  },
];

export const largeModelWorks: readonly Work[] = works.map((model) => ({
  name: model.name,
  description: `peak memory of a step of a model of ${model.shape}, ${ROWS} × ${TOKENS} tokens`,
  measure: (surroundings) => measure(model, surroundings),
}));

async function measure({ name, precision: chosen, write }: LargeModel, surroundings: Surroundings): Promise<MemoryRow> {
  const { root, bench, scratch, options, model: small, precisions, signal, note } = surroundings;
  const steps = options.steps ?? STEPS;
  const folder = join(scratch, name);
  await mkdir(folder, { recursive: true });
  // What is converted of random weights is nothing for the user's own cache.
  const env = { LORIKEET_CACHE: join(folder, "cache") };
  note(`${name}, writing random weights (once) …`);
  const path = await write(folder, join(root, "tests/golden/tiny-chat"));
  const model = await describeModel(path);
  const adapter = join(folder, "adapter");
  await writeInitialAdapter(model, adapter);
  const { vocabulary } = model.model.dimensions;
  const batches = (await textBatches(root, small.codec, ROWS, TOKENS, 2)).map(({ input_ids, lengths }) => {
    const rows = input_ids.map((row) => row.map((id) => id % vocabulary));
    return { input_ids: rows, labels: rows, lengths };
  });
  const work = await writeBatches(name, batches, scratch);
  const precision = chosen(precisions);
  note(`${name}, converting the weights to ${precision} (once) …`);
  await runForJson(process.execPath, [await bundle(bench, "open"), path, precision], { signal, env });
  note(`${name}, ours in ${precision} …`);
  const side = ourSide(await bundle(bench, "ours"), { model: path, adapter, work, steps }, precision, env);
  const run = await runSide(side.command, {
    signal,
    onStep: ({ loss, seconds }) => note(`  loss ${loss.toFixed(3)}, ${seconds.toFixed(1)} s`),
  });
  if (run === undefined) throw new Error("only a side with a limit is given up");
  return {
    kind: "memory",
    work: name,
    date: new Date().toISOString(),
    parameters: model.parameters,
    batch: [ROWS, TOKENS],
    peakOf: run.peakOf,
    ours: { name: precision, ...summarise([run], work.tokens) },
  };
}
