import { join } from "node:path";
import { InputError } from "../../../errors.js";
import { readRequiredText } from "../../../files/node/read-text-file.js";
import { parseJsonText } from "../../../files/parse-json.js";
import type { Adapter } from "../../../lora/adapter.js";
import { writeFileAtomic } from "../../../weights/node/atomic-file.js";
import { exists } from "../../../weights/node/exists.js";
import { openSafetensorsFile } from "../../../weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../../weights/node/write-safetensors.js";
import { readMlxAdapter } from "../read-adapter.js";
import type { MlxAdapter } from "../write-adapter.js";

const CONFIG = "adapter_config.json";
/** mlx-lm's name for the weights; PEFT's is adapter_model.safetensors. */
export const MLX_WEIGHTS = "adapters.safetensors";

/** Whether a folder is an adapter as mlx-lm saves it. */
export const isMlxFolder = (folder: string): Promise<boolean> => exists(join(folder, MLX_WEIGHTS));

/** Reads an adapter's folder that mlx-lm saved; see `readMlxAdapter`. */
export async function readMlxFolder(folder: string): Promise<Adapter> {
  const path = join(folder, CONFIG);
  const text = await readRequiredText(path);
  let config: unknown;
  try {
    config = parseJsonText(text);
  } catch (cause) {
    throw new InputError(`${path} cannot be read as JSON; mlx-lm writes it beside ${MLX_WEIGHTS}. Fetch or save the adapter again.`, {
      cause,
    });
  }
  const weights = join(folder, MLX_WEIGHTS);
  return readMlxAdapter(config, await openSafetensorsFile(weights), weights);
}

/** Writes an adapter's folder for mlx-lm. */
export async function writeMlxFolder(folder: string, { config, tensors }: MlxAdapter): Promise<void> {
  const entries = tensors.map(({ name, shape, values }) => ({ name, dtype: "F32" as const, shape, data: () => values }));
  await writeSafetensors(join(folder, MLX_WEIGHTS), entries, { format: "mlx" });
  await writeFileAtomic(join(folder, CONFIG), `${JSON.stringify(config, null, 2)}\n`);
}
