import { join } from "node:path";
import { vectorFromAdapter } from "../../src/lora/adapter.js";
import { checkFit } from "../../src/lora/fit.js";
import type { AdapterLayout } from "../../src/lora/layout.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { readLanguageModel } from "../../src/models/index.js";
import { type GoldenFolder, openGoldenFolder } from "./golden-folder.js";
import type { GoldenBatch } from "./tiny-model.js";
import type { Trajectory } from "./trajectory.js";

/** golden.json of an architecture; tests/golden/README.md says what stands in it. */
interface ArchitectureFacts {
  readonly batches: readonly [GoldenBatch, GoldenBatch];
  /** The texts of the first batch with their padding in front. */
  readonly paddedLeft: GoldenBatch;
  readonly adapted: { readonly sum: number; readonly count: number };
  readonly trajectory: Trajectory;
}

/** A tiny model of an architecture, with what transformers and PEFT computed of it. */
export interface ArchitectureGolden extends GoldenFolder<LanguageModelGraph, ArchitectureFacts> {
  /** PEFT's adapter on all linear layers, A and B random, as a flat vector. */
  readonly layout: AdapterLayout;
  readonly adapter: Float32Array;
}

/** Reads the folder of an architecture that tests/golden/architectures.py wrote. */
export async function loadArchitecture(name: string): Promise<ArchitectureGolden> {
  const opened = await openGoldenFolder<LanguageModelGraph, ArchitectureFacts>(name, readLanguageModel);
  const { linearGroups } = opened.model;
  const saved = await readAdapterFolder(join(opened.folder, "adapter"));
  checkFit(saved, linearGroups.flat(), name);
  const { layout, vector } = vectorFromAdapter(saved, opened.model);
  return { ...opened, layout, adapter: vector };
}
