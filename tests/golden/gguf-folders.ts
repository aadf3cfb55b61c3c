// Writes every model of tests/golden/gguf as the folder that `merge` makes of a GGUF, with an adapter that changes nothing, for
// check_gguf_folders.py: OUT/models/NAME. Run from the repository's root:
//   npx esbuild tests/golden/gguf-folders.ts --bundle --platform=node --format=esm --packages=external | node --input-type=module - OUT
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LinearLayer } from "../../src/lora/layer.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { mergeCheckpoint } from "../../src/lora/node/merge-checkpoint.js";
import { readLanguageModel } from "../../src/models/index.js";
import { openGguf } from "../../src/weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";

const [out] = process.argv.slice(2);
if (out === undefined) throw new Error("OUT is needed");
const folder = join("tests", "golden", "gguf");
const { models } = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8"));
for (const modelName of Object.keys(models)) {
  const { config, checkpoint } = await openGguf(join(folder, `${modelName}.gguf`));
  const model = readLanguageModel(config);
  await mergeCheckpoint({
    checkpoint,
    model,
    adapter: await zeroAdapter(model.linearGroups.flat()),
    out: join(out, "models", modelName),
    modelName,
    companions: [{ name: "config.json", text: JSON.stringify(config) }],
  });
}

/** PEFT's files of an adapter at the first layer whose matrices are zero. */
async function zeroAdapter([layer]: readonly LinearLayer[]): Promise<Awaited<ReturnType<typeof readAdapterFolder>>> {
  if (layer === undefined) throw new Error("a model without a layer");
  const { name, inputs, outputs, isConv1D = false } = layer;
  const place = join(String(out), "adapter");
  await mkdir(place, { recursive: true });
  const config = { peft_type: "LORA", r: 1, lora_alpha: 1, target_modules: [name], fan_in_fan_out: isConv1D };
  await writeFile(join(place, "adapter_config.json"), JSON.stringify(config));
  const matrix = (which: string, rows: number, columns: number) => ({
    name: `base_model.model.${name}.${which}.weight`,
    dtype: "F32" as const,
    shape: [rows, columns],
    data: () => new Float32Array(rows * columns),
  });
  await writeSafetensors(join(place, "adapter_model.safetensors"), [matrix("lora_A", 1, inputs), matrix("lora_B", outputs, 1)]);
  return await readAdapterFolder(place);
}
