import { type Companion, companionsOfFolder } from "../../lora/node/merge-checkpoint.js";
import { tokenizerFiles } from "../../text/tokenizer-files.js";
import type { DescribedWeights } from "./described-model.js";

/** The files beside the weights of a model that is written: a folder's own, or made from what a GGUF says. */
export async function companionsOf({
  path,
  config,
  ggufMetadata,
}: Pick<DescribedWeights, "path" | "config" | "ggufMetadata">): Promise<Companion[]> {
  if (ggufMetadata === undefined) return await companionsOfFolder(path);
  const files = { "config.json": config, ...tokenizerFiles(ggufMetadata, path) };
  return Object.entries(files).map(([name, content]) => ({ name, text: `${JSON.stringify(content, null, 2)}\n` }));
}
