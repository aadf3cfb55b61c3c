import { mkdir, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { adapterFromVector, configOf } from "../src/lora/adapter.js";
import { initialiseAdapter } from "../src/lora/initialise.js";
import { buildLayout } from "../src/lora/layout.js";
import { writeAdapterFolder } from "../src/lora/node/adapter-folder.js";
import { type AdapterSpec, adaptGroups } from "../src/lora/spec.js";
import { nodeEngine } from "../src/runtime/node/engine.js";
import { type OpenedModel, openModel } from "../src/workflows/node/open-model.js";
import { elementsOf, encodeBatches } from "./batch-file.js";
import type { PeerPython } from "./python.js";
import { adapter as recipe } from "./recipe.js";
import type { MachineRecord } from "./result.js";
import type { Work } from "./works.js";

/** What the sides of a work read, ready on the disk. */
export interface PreparedWork {
  readonly name: string;
  readonly batches: string;
  /** Elements of each batch of the file. */
  readonly elements: readonly number[];
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
export async function writeInitialAdapter({ model, name }: OpenedModel, folder: string): Promise<void> {
  const { rank, alpha, seed } = recipe;
  const spec: AdapterSpec = { rank, alpha, dropout: 0, layers: { kind: "all-linear" }, initialisation: "peft" };
  const layout = buildLayout(adaptGroups(model.linearGroups, spec));
  const vector = initialiseAdapter(layout, spec.initialisation, seed);
  await writeAdapterFolder(folder, adapterFromVector(configOf(spec, layout, model.linearGroups.flat(), name), layout, vector));
}

export async function writeWork(work: Work, root: string, folder: string, { codec }: OpenedModel): Promise<PreparedWork> {
  const batches = await work.batches(root, codec);
  const file = join(folder, `${work.name}.jsonl`);
  await mkdir(folder, { recursive: true });
  await writeFile(file, encodeBatches(batches));
  return { name: work.name, batches: file, elements: batches.map(elementsOf) };
}

/** Bundles our side, as npm bundles the bench itself: a process without a compiler in it. */
export async function bundleOurs(bench: string): Promise<string> {
  const outfile = join(bench, "scratch/ours.mjs");
  await build({
    entryPoints: [join(bench, "ours.ts")],
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
