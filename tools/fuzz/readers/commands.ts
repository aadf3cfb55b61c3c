import { dirname, join } from "node:path";
import { readModel } from "../../../src/models/index.js";
import { runExport } from "../../../src/workflows/node/export-run.js";
import { runMerge } from "../../../src/workflows/node/merge-run.js";
import { describeModelAs } from "../../../src/workflows/node/open-model.js";
import type { Reader, Seed } from "../input.js";
import { folderSeed, foldersWith, GOLDEN } from "./seeds.js";

// Whole commands over folders, which read models and adapters, and write.

const modelFiles =
  /^(config|tokenizer|tokenizer_config|generation_config|special_tokens_map|model\.safetensors\.index)\.json$|^model.*\.safetensors$/;
const adapterFiles = /^adapter_/;

/** A tokenizer for the models of the tests that have none of their own: one that GGUF has a name for. */
const tokenizer = (under: string) => folderSeed(join(GOLDEN, "text/tokenizers/llama2"), /^tokenizer(_config)?\.json$/, under);

/** The tiny models of the tests, whole: configuration, weights, tokenizer. */
function modelSeeds(under = ""): [folder: string, seed: Seed][] {
  return foldersWith("config.json")
    .filter((folder) => dirname(folder) === GOLDEN)
    .map((folder) => [folder, new Map([...tokenizer(under), ...folderSeed(folder, modelFiles, under)])] as [string, Seed])
    .filter(([, seed]) => [...seed.keys()].some((name) => name.endsWith(".safetensors")));
}

const modelFolder: Reader = {
  name: "model-folder",
  seeds: async () => modelSeeds().map(([, seed]) => seed),
  read: (folder) => describeModelAs(readModel, folder),
};

/** A model and an adapter for it, side by side. */
function withAdapters(): Seed[] {
  return modelSeeds("model/").flatMap(([folder, model]) => {
    if (!foldersWith("adapter_config.json").includes(`${folder}/adapter`)) return [];
    return [new Map([...model, ...folderSeed(`${folder}/adapter`, adapterFiles, "adapter/")])];
  });
}

const context = () => ({ signal: new AbortController().signal, emit: () => undefined });
const command = (name: string, perform: (options: { model: string; adapter: string; out: string }) => Promise<unknown>): Reader => ({
  name,
  seeds: async () => withAdapters(),
  read: (folder, out) => perform({ model: join(folder, "model"), adapter: join(folder, "adapter"), out }),
});

export const commandReaders: readonly Reader[] = [
  modelFolder,
  command("merge", (options) => runMerge({ ...options, maxShardSize: "20KB" }, context())),
  command("merge-gguf", (options) => runMerge({ ...options, to: "gguf" }, context())),
  command("export-gguf", (options) => runExport({ ...options, to: "gguf" }, context())),
  command("export-mlx", (options) => runExport({ ...options, to: "mlx" }, context())),
];
