import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readGgufAdapterFile } from "../../../src/interchange/gguf/node/adapter-file.js";
import { writeGguf } from "../../../src/interchange/gguf/node/write-gguf.js";
import { ggufAdapter } from "../../../src/interchange/gguf/write-adapter.js";
import { readAdapterFolder } from "../../../src/lora/node/adapter-folder.js";
import { readLanguageModel, readModel } from "../../../src/models/index.js";
import { textFromGguf } from "../../../src/text/from-gguf.js";
import type { Checkpoint } from "../../../src/weights/checkpoint.js";
import { FileByteSource } from "../../../src/weights/node/file-byte-source.js";
import { openGguf, openSafetensorsFile, openSafetensorsFolder } from "../../../src/weights/node/open-checkpoint.js";
import { openTorchFile } from "../../../src/weights/node/open-torch-file.js";
import { readMatrix } from "../../../src/weights/node/read-matrix.js";
import { readSafetensorsHeader } from "../../../src/weights/safetensors.js";
import type { Reader, Seed } from "../input.js";
import { bytesOf, each, encoded, folderSeed, foldersWith, GOLDEN, goldenFiles } from "./seeds.js";
import { useText } from "./text.js";

// Readers of files that hold tensors.

async function readAll(checkpoint: Checkpoint): Promise<void> {
  for (const name of checkpoint.tensors.keys()) await checkpoint.readFloat32(name);
}

const safetensors: Reader = {
  name: "safetensors",
  seeds: async () => {
    const files = goldenFiles().filter((path) => path.endsWith(".safetensors"));
    return each(
      "model.safetensors",
      files.filter((_, index) => index % 4 === 0 || /sharded|gemma2|tiny-chat/.test(files[index] ?? "")),
    );
  },
  async read(folder) {
    const path = join(folder, "model.safetensors");
    await readSafetensorsHeader(await FileByteSource.open(path));
    await readAll(await openSafetensorsFile(path));
  },
};

const sharded: Reader = {
  name: "safetensors-index",
  seeds: async () => foldersWith("model.safetensors.index.json").map((folder) => folderSeed(folder, /^model.*(safetensors|index\.json)$/)),
  read: async (folder) => readAll(await openSafetensorsFolder(folder)),
};

const gguf: Reader = {
  name: "gguf",
  seeds: async () =>
    each(
      "model.gguf",
      goldenFiles().filter((path) => path.endsWith(".gguf") && !path.includes("split")),
    ),
  async read(folder) {
    const path = join(folder, "model.gguf");
    const { metadata, config, checkpoint } = await openGguf(path);
    readLanguageModel(config);
    await readAll(checkpoint);
    if (metadata["tokenizer.ggml.model"] !== "bert") useText(textFromGguf(metadata, path));
  },
};

const ggufParts: Reader = {
  name: "gguf-parts",
  seeds: async () => [folderSeed(join(GOLDEN, "gguf"), /split/)],
  async read(folder) {
    const [first, ...rest] = [1, 2, 3].map((part) => join(folder, `qwen3-split-0000${part}-of-00003.gguf`));
    await readAll((await openGguf(first ?? "", ...rest)).checkpoint);
  },
};

const configOf = (name: string): Record<string, unknown> =>
  JSON.parse(new TextDecoder().decode(bytesOf(join(GOLDEN, name, "config.json"))));
/** The model of every adapter below. */
const llama = readModel(configOf("llama"));

const ggufAdapters: Reader = {
  name: "gguf-adapter",
  async seeds() {
    const folder = await mkdtemp(join(tmpdir(), "lorikeet-fuzz-seeds-"));
    const made: Seed[] = [];
    for (const adapter of ["llama/adapter", "variants/rslora/adapter"]) {
      const { entries, tensors } = ggufAdapter(await readAdapterFolder(join(GOLDEN, adapter)), llama, "llama");
      const path = join(folder, String(made.length));
      await writeGguf(path, entries, tensors);
      made.push(new Map([["adapter.gguf", bytesOf(path)]]));
    }
    await rm(folder, { recursive: true });
    return made;
  },
  async read(folder) {
    const path = join(folder, "adapter.gguf");
    await readGgufAdapterFile(path);
    await readGgufAdapterFile(path, llama);
  },
};

const torch: Reader = {
  name: "torch-bin",
  seeds: async () =>
    each(
      "model.bin",
      ["tensors.bin", "protocol-4.bin", "adapter_model.bin"].map((name) => join(GOLDEN, "torch", name)),
    ),
  read: async (folder) => readAll(await openTorchFile(join(folder, "model.bin"))),
};

const npy: Reader = {
  name: "npy",
  seeds: async () =>
    each(
      "matrix.npy",
      goldenFiles().filter((path) => path.endsWith(".npy")),
    ),
  read: (folder) => readMatrix(join(folder, "matrix.npy")),
};

const matrixText: Reader = {
  name: "matrix-text",
  seeds: async () => [
    new Map([["matrix.csv", bytesOf(join(GOLDEN, "rank/textbook.csv"))]]),
    new Map([["matrix.csv", encoded("1 2.5 -3e-2\n4 5 6\n")]]),
  ],
  read: (folder) => readMatrix(join(folder, "matrix.csv")),
};

export const weightReaders: readonly Reader[] = [safetensors, sharded, gguf, ggufParts, ggufAdapters, torch, npy, matrixText];
