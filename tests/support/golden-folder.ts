import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModelGraph } from "../../src/models/architecture.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import type { CompileOptions } from "../../src/runtime/program.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { mapWeights } from "../../src/weights/node/mapped-weights.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { compileOptions, type Device } from "../../src/workflows/node/model-weights.js";
import { golden, goldenPath } from "./golden.js";

/** A tiny model in a folder of tests/golden, with what transformers and PEFT computed of it. */
export interface GoldenFolder<Model, Facts> {
  readonly folder: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly model: Model;
  readonly checkpoint: Checkpoint;
  /** The tensors of golden.safetensors. */
  readonly golden: Checkpoint;
  /** golden.json; tests/golden/README.md says what stands in it. */
  readonly facts: Facts;
  compile(device?: Device): Promise<CompileOptions>;
}

/** Opens such a folder, its model read by `read`; `Facts` is what the caller knows golden.json to hold. */
export async function openGoldenFolder<Model extends ModelGraph, Facts>(
  name: string,
  read: (config: Readonly<Record<string, unknown>>) => Model,
): Promise<GoldenFolder<Model, Facts>> {
  const folder = goldenPath(name);
  const config = golden<Record<string, unknown>>(`${name}/config.json`);
  const model = read(config);
  const checkpoint = modelCheckpoint(await openSafetensorsFolder(folder), model);
  return {
    folder,
    config,
    model,
    checkpoint,
    golden: await openSafetensorsFile(join(folder, "golden.safetensors")),
    facts: golden<Facts>(`${name}/golden.json`),
    compile: async (device = { target: "cpu", threads: 1 }) => {
      const cacheFolder = join(tmpdir(), "lorikeet-tests");
      return compileOptions(await mapWeights(checkpoint, { cacheFolder, float32Only: device.target === "webgpu" }), device);
    },
  };
}
