import { join } from "node:path";
import { InputError } from "../../errors.js";
import { readTextFile } from "../../files/node/read-text-file.js";
import { parseJsonText } from "../../files/parse-json.js";
import { textCodecOf } from "../codec.js";
import { inputTemplateOf } from "../model-input.js";
import type { TextCodec, TextSettings } from "../tokenizer.js";
import { readTokenizerJson, type TokenizerJson, vocabularyOf } from "../tokenizer-json.js";
import { defaultNames, tokenizerFamily, tokenizerOfMerges, tokenizerOfVocabTxt } from "../vocabulary-files.js";

type Json = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

async function readJson(path: string): Promise<Json | undefined> {
  const text = await readTextFile(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = parseJsonText(text);
  } catch (cause) {
    throw new InputError(`${path}: is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (!isRecord(value)) throw new InputError(`${path}: expected a JSON object.`);
  return value;
}

/** A token in tokenizer_config.json is a string or an object with its `content`. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return isRecord(value) && typeof value.content === "string" ? value.content : undefined;
}

function namedTokensOf(config: Json): Record<string, string> {
  const named: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    const text = key.endsWith("_token") ? tokenText(value) : undefined;
    if (text !== undefined) named[key] = text;
  }
  return named;
}

/** `chat_template`: one template, or a list of named ones of which "default" and "tool_use" are used. */
function templatesOf(value: unknown, path: string): { default?: string; tool_use?: string } {
  if (value === undefined || value === null) return {};
  if (typeof value === "string") return { default: value };
  if (Array.isArray(value)) {
    const entries = value.flatMap((one) =>
      isRecord(one) && typeof one.name === "string" && typeof one.template === "string" ? [[one.name, one.template] as const] : [],
    );
    if (entries.length === value.length) return Object.fromEntries(entries);
  }
  throw new InputError(`${path}: "chat_template" should be a string or a list of {"name", "template"}.`);
}

function idsOf(value: unknown): number[] {
  const list = Array.isArray(value) ? value : [value];
  return list.filter((one): one is number => Number.isSafeInteger(one) && one >= 0);
}

/** The vocabulary of a folder: tokenizer.json, or what its class makes of vocab.txt, or of vocab.json and merges.txt. */
async function readTokenizer(
  folder: string,
  family: ReturnType<typeof tokenizerFamily>,
  config: Json,
  namedTokens: Readonly<Record<string, string>>,
): Promise<{ file: string; json: Json }> {
  const at = (name: string) => ({ config, namedTokens, file: join(folder, name) });
  const whole = await readJson(join(folder, "tokenizer.json"));
  if (whole !== undefined) return { file: join(folder, "tokenizer.json"), json: whole };
  const words = family === "bert" ? await readTextFile(join(folder, "vocab.txt")) : undefined;
  if (words !== undefined) return { file: join(folder, "vocab.txt"), json: tokenizerOfVocabTxt(words, at("vocab.txt")) };
  if (family !== undefined && family !== "bert") {
    const [vocab, merges] = [await readJson(join(folder, "vocab.json")), await readTextFile(join(folder, "merges.txt"))];
    if (vocab !== undefined && merges !== undefined) {
      return { file: join(folder, "vocab.json"), json: tokenizerOfMerges(vocab, merges, family, at("vocab.json")) };
    }
  }
  throw new InputError(
    `${folder}: has no tokenizer.json. Expected a model folder with config.json, tokenizer.json and safetensors, or in place of tokenizer.json ` +
      "the vocab.txt of a BERT, or vocab.json with merges.txt of GPT-2, RoBERTa or Qwen2; models that have only tokenizer.model can be used as a GGUF.",
  );
}

/** Named tokens of tokenizer_config.json, then of special_tokens_map.json, then those that the class of the tokenizer uses. */
async function readNamedTokens(folder: string, family: ReturnType<typeof tokenizerFamily>, config: Json): Promise<Record<string, string>> {
  const map = (await readJson(join(folder, "special_tokens_map.json"))) ?? {};
  const defaults = Object.entries(family === undefined ? {} : defaultNames[family]).filter(([name]) => !(name in config) && !(name in map));
  return { ...Object.fromEntries(defaults), ...namedTokensOf(map), ...namedTokensOf(config) };
}

/** A tokenizer.json, read, and what else a folder says of its text. */
export interface FolderText {
  readonly tokenizerJson: TokenizerJson;
  readonly settings: TextSettings;
}

/**
 * What a checkpoint folder says of its text: tokenizer.json (or older vocabulary files), tokenizer_config.json,
 * special_tokens_map.json, the template from chat_template.jinja, chat_template.json or tokenizer_config.json (in this order), and
 * the ids that end an answer from generation_config.json and config.json.
 * @throws InputError when there is no vocabulary or a file is malformed.
 */
export async function readFolderText(folder: string): Promise<FolderText> {
  const configPath = join(folder, "tokenizer_config.json");
  const config = (await readJson(configPath)) ?? {};
  const model = await readJson(join(folder, "config.json"));
  const family = tokenizerFamily(config.tokenizer_class, model?.model_type);
  const listed = await readNamedTokens(folder, family, config);
  const { file, json: whole } = await readTokenizer(folder, family, config, listed);
  const jinja = await readTextFile(join(folder, "chat_template.jinja"));
  const templateJson = (await readJson(join(folder, "chat_template.json")))?.chat_template;
  const templates = jinja === undefined ? templatesOf(templateJson ?? config.chat_template, configPath) : { default: jinja };

  const tokenizerJson = readTokenizerJson(whole, file);
  const added = new Map(tokenizerJson.added_tokens.map((token) => [token.content, token.id]));
  const vocabulary = vocabularyOf(tokenizerJson.model);
  const idOf = (token: string) => added.get(token) ?? vocabulary.get(token);
  const namedTokens = Object.fromEntries(Object.entries(listed).filter(([name, token]) => name in config || idOf(token) !== undefined));
  const generation = await readJson(join(folder, "generation_config.json"));
  const eos = namedTokens.eos_token === undefined ? undefined : idOf(namedTokens.eos_token);
  const endOfTurnIds = [...new Set([...idsOf(eos), ...idsOf(generation?.eos_token_id), ...idsOf(model?.eos_token_id)])];
  const inputTemplate = inputTemplateOf(tokenizerJson.post_processor, idOf, file);
  const { default: chatTemplate, tool_use: toolTemplate } = templates;
  return { tokenizerJson, settings: { file, namedTokens, endOfTurnIds, inputTemplate, chatTemplate, toolTemplate } };
}

/** The tokenizer and chat template of a checkpoint folder; see `readFolderText`. */
export async function loadTextFromFolder(folder: string): Promise<TextCodec> {
  const { tokenizerJson, settings } = await readFolderText(folder);
  return textCodecOf(tokenizerJson, settings);
}
