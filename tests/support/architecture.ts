import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vectorFromAdapter } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import type { AdapterLayout } from "../../src/lora/layout.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { readLanguageModel } from "../../src/models/index.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import type { CompileOptions } from "../../src/runtime/program.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { compileOptions, type Device } from "../../src/workflows/node/model-weights.js";
import { goldenPath } from "./golden.js";
import type { GoldenBatch } from "./tiny-model.js";

/** golden.json of an architecture; tests/golden/README.md says what stands in it. */
interface ArchitectureFacts {
  readonly batches: readonly [GoldenBatch, GoldenBatch];
  /** The texts of the first batch with their padding in front. */
  readonly paddedLeft: GoldenBatch;
  readonly adapted: { readonly sum: number; readonly count: number };
  readonly trajectory: {
    readonly options: Readonly<Record<string, number>>;
    readonly loss: readonly number[];
    readonly gradientNorm: readonly number[];
  };
}

/** A tiny model of an architecture, with what transformers and PEFT computed of it. */
export interface ArchitectureGolden {
  readonly folder: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly model: LanguageModelGraph;
  readonly checkpoint: Checkpoint;
  /** The tensors of golden.safetensors. */
  readonly golden: Checkpoint;
  readonly facts: ArchitectureFacts;
  /** PEFT's adapter on all linear layers, A and B random, as a flat vector. */
  readonly layout: AdapterLayout;
  readonly adapter: Float32Array;
  compile(device?: Device): Promise<CompileOptions>;
}

/** Reads the folder of an architecture that tests/golden/architectures.py wrote. */
export async function loadArchitecture(name: string): Promise<ArchitectureGolden> {
  const folder = goldenPath(name);
  const json = async (file: string) => JSON.parse(await readFile(join(folder, file), "utf8"));
  const config = await json("config.json");
  const model = readLanguageModel(config);
  const checkpoint = modelCheckpoint(await openSafetensorsFolder(folder), model);
  const saved = await readAdapterFolder(join(folder, "adapter"));
  checkFit(saved, model.linearGroups.flat(), name);
  const { layout, vector } = vectorFromAdapter(saved, model.linearGroups);
  return {
    folder,
    config,
    model,
    checkpoint,
    golden: await openSafetensorsFile(join(folder, "golden.safetensors")),
    facts: await json("golden.json"),
    layout,
    adapter: vector,
    compile: async (device = { target: "cpu", threads: 1 }) => {
      const cacheFolder = join(tmpdir(), "lorikeet-tests");
      return compileOptions(await mapWeights(checkpoint, { cacheFolder, float32Only: device.target === "webgpu" }), device);
    },
  };
}
