import { join } from "node:path";
import { readAdapterFolder, readUnconvertedFolder } from "../../../src/lora/node/adapter-folder.js";
import { readPlacedAdapter } from "../../../src/workflows/node/adapter-place.js";
import type { Reader } from "../input.js";
import { bytesOf, folderSeed, foldersWith, GOLDEN } from "./seeds.js";

// Readers of adapters' folders: their configuration and weights together.

const adapterFiles = /^adapters?_?(config\.json|model\.safetensors|model\.bin)$|^adapters\.safetensors$/;
const isMlx = (folder: string) => folder.includes("/mlx/");

const peft: Reader = {
  name: "adapter_config.json",
  async seeds() {
    const folders = foldersWith("adapter_config.json").filter((folder) => !isMlx(folder));
    const [config] = folders.filter((folder) => folder.includes("tiny-llama/"));
    const old = new Map([
      ["adapter_config.json", bytesOf(join(config ?? "", "adapter_config.json"))],
      ["adapter_model.bin", bytesOf(join(GOLDEN, "torch/adapter_model.bin"))],
    ]);
    return [...folders.map((folder) => folderSeed(folder, adapterFiles)), old];
  },
  async read(folder) {
    await readUnconvertedFolder(folder);
    await readAdapterFolder(folder).catch(refusedStart);
  },
};

/** An adapter that changed its base when it began is read by `convert` alone. */
function refusedStart(error: unknown): void {
  if (!(error instanceof Error && error.message.includes("init_lora_weights"))) throw error;
}

const mlx: Reader = {
  name: "mlx-adapter",
  seeds: async () => foldersWith("adapters.safetensors").map((folder) => folderSeed(folder, adapterFiles)),
  read: (folder) => readPlacedAdapter(folder),
};

export const adapterReaders: readonly Reader[] = [peft, mlx];
