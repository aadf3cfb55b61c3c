import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";

/** What a folder holds of an adapter, in no order that means nothing. */
export async function savedAdapter(folder: string) {
  const config = JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
  const file = await openSafetensorsFile(join(folder, "adapter_model.safetensors"));
  const tensors = [...file.tensors.values()].map(async ({ name, type, shape }) => ({
    name,
    type,
    shape,
    values: await file.readFloat32(name),
  }));
  const sorted = (names: readonly string[] | null) => names && [...names].sort();
  return {
    config: { ...config, target_modules: sorted(config.target_modules), modules_to_save: sorted(config.modules_to_save) },
    tensors: await Promise.all(tensors),
  };
}
