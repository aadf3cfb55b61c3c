import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OnnxFolderRequest, writeOnnxFolder } from "../../src/interchange/onnx/node/write-folder.js";
import type { OnnxWeightType } from "../../src/interchange/onnx/weight-forms.js";
import { createRoundingMeter } from "../../src/lora/merge-rounding.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { trainedCheckpoint } from "../../src/lora/trained-checkpoint.js";
import type { ArchitectureGolden } from "./architecture.js";

/** A folder for transformers.js of a golden's model with PEFT's adapter folded in. */
export async function onnxFolderOf(
  { folder, model, checkpoint: base, config }: Pick<ArchitectureGolden, "folder" | "model" | "checkpoint" | "config">,
  type: OnnxWeightType,
  options: Partial<Pick<OnnxFolderRequest, "inlineBytes" | "maxFileBytes" | "meter">> = {},
): Promise<string> {
  const adapter = await readAdapterFolder(join(folder, "adapter"));
  const { checkpoint, untied } = trainedCheckpoint(base, model, adapter);
  const out = join(await mkdtemp(join(tmpdir(), "lorikeet-onnx-")), "model");
  const own = { meter: createRoundingMeter(), maxFileBytes: 2e9, ...options };
  return writeOnnxFolder({ model, checkpoint, adapter, untied, config, type, companions: [], out, ...own });
}
