import { readFile } from "node:fs/promises";
import type { Companion } from "../../lora/node/merge-checkpoint.js";
import { readFolderText } from "../../text/node/load.js";
import { tokenizerFile } from "../../text/tokenizer-files.js";
import { companionsOf } from "./companions.js";
import type { DescribedModel } from "./described-model.js";

type Json = Readonly<Record<string, unknown>>;

/** Files of a model's folder that mean the same beside an ONNX model. */
const kept = /^(special_tokens_map\.json|LICENSE(\.txt)?)$/;

/**
 * The files beside an ONNX model. transformers.js reads a tokenizer from `tokenizer.json` and `tokenizer_config.json` alone, the template of
 * a chat and the named tokens among them, and stops where `generation_config.json` says: what a folder has elsewhere is brought there.
 */
export async function onnxCompanions(described: Pick<DescribedModel, "path" | "config" | "ggufMetadata" | "codec">): Promise<Companion[]> {
  const companions = await companionsOf(described);
  const jsonOf = async (name: string): Promise<Json | undefined> => {
    const found = companions.find((companion) => companion.name === name);
    return found && JSON.parse("text" in found ? found.text : await readFile(found.path, "utf8"));
  };
  const { codec } = described;
  const settings = { ...codec.namedTokens, ...(await jsonOf("tokenizer_config.json")) } as Json;
  const templates = [
    { name: "default", template: codec.chatTemplate },
    { name: "tool_use", template: codec.toolTemplate },
  ];
  const template = codec.toolTemplate === undefined ? codec.chatTemplate : templates;
  const written: Readonly<Record<string, Json>> = {
    "tokenizer.json": (await jsonOf("tokenizer.json")) ?? (tokenizerFile((await readFolderText(described.path)).tokenizerJson) as Json),
    "tokenizer_config.json": template === undefined ? settings : { ...settings, chat_template: template },
    "generation_config.json": { ...(await jsonOf("generation_config.json")), eos_token_id: codec.endOfTurnIds },
  };
  return [
    ...companions.filter(({ name }) => kept.test(name)),
    ...Object.entries(written).map(([name, content]) => ({ name, text: `${JSON.stringify(content, null, 2)}\n` })),
  ];
}
