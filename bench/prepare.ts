import { mkdir, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { adapterFromVectors, configOf } from "../src/lora/adapter.js";
import { initialiseAdapter } from "../src/lora/initialise.js";
import { buildLayout } from "../src/lora/layout.js";
import { writeAdapterFolder } from "../src/lora/node/adapter-folder.js";
import { type AdapterSpec, adaptGroups } from "../src/lora/spec.js";
import { nodeEngine } from "../src/runtime/node/engine.js";
import { weightsOf } from "../src/workflows/node/applied-adapter.js";
import { type DescribedModel, type OpenedModel, openModel } from "../src/workflows/node/open-model.js";
import { encodeBatches, type FileBatch, tokensOf } from "./batch-file.js";
import type { PeerPython } from "./python.js";
import { adapter as recipe } from "./recipe.js";
import type { MachineRecord } from "./result.js";

/** What the sides of a work read, ready on the disk. */
export interface PreparedWork {
  readonly name: string;
  readonly batches: string;
  /** Tokens of each batch of the file, padding left out. */
  readonly tokens: readonly number[];
}

/** Opens the model once, so that its download and conversion are in the caches before anything is timed. */
export async function prepareModel(name: string, note: (message: string) => void): Promise<OpenedModel> {
  let task = "";
  return await openModel(
    name,
    { target: "cpu" },
    {
      onNotice: note,
      onProgress: (progress) => {
        if (progress.task !== task) note(progress.task);
        task = progress.task;
      },
    },
  );
}

/** Writes the adapter that both sides start from, as a PEFT folder. */
export async function writeInitialAdapter(
  { model, checkpoint, name }: DescribedModel,
  folder: string,
  rank: number = recipe.rank,
): Promise<void> {
  const { alpha, seed } = recipe;
  const spec: AdapterSpec = { rank, alpha, dropout: 0, layers: { kind: "all-linear" }, initialisation: "peft" };
  const layout = buildLayout(adaptGroups(model.linearGroups, spec));
  const { trainables, frozen } = await initialiseAdapter(layout, {
    initialisation: spec.initialisation,
    rounds: 0,
    seed,
    weightOf: weightsOf({ checkpoint }),
  });
  await writeAdapterFolder(
    folder,
    adapterFromVectors(configOf(spec, layout, model.linearGroups.flat(), name), layout, { trainables, frozen }),
  );
}

/** Writes the batches of a work into a folder. */
export async function writeBatches(name: string, batches: readonly FileBatch[], folder: string): Promise<PreparedWork> {
  const file = join(folder, `${name}.jsonl`);
  await mkdir(folder, { recursive: true });
  await writeFile(file, encodeBatches(batches));
  return { name, batches: file, tokens: batches.map(tokensOf) };
}

/**
 * Bundles a program of ours, as npm bundles the bench itself: a process without a compiler in it. It lies as deep in the package
 * as the built modules do, or it would not find the package's assets.
 */
export async function bundle(bench: string, name: string): Promise<string> {
  const outfile = join(bench, `scratch/bundle/${name}.mjs`);
  await build({
    entryPoints: [join(bench, `${name}.ts`)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    logLevel: "error",
  });
  return outfile;
}

export function machineRecord(python: PeerPython | undefined): MachineRecord {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    processors: cpus().length,
    memoryBytes: totalmem(),
    platform: `${process.platform}-${process.arch}`,
    versions: { node: process.versions.node, ...engineVersion(), ...python?.versions },
  };
}

function engineVersion(): Record<string, string> {
  const [name = "engine", version = "unknown"] = nodeEngine.version.split(" ");
  return { [name]: version };
}
