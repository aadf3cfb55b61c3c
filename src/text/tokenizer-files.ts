import { buildTextCodec } from "./codec.js";
import { type GgufText, readGgufText } from "./from-gguf.js";
import { openingIds } from "./model-input.js";
import type { Step, TokenizerJson } from "./tokenizer-json.js";

/** Files of a model's folder by name: JSON, not yet written out. */
export type TokenizerFiles = Readonly<Record<"tokenizer.json" | "tokenizer_config.json" | "generation_config.json", object>>;

/** Named tokens that transformers looks for in generation_config.json, under their names there. */
const generationIds = { bos_token: "bos_token_id", pad_token: "pad_token_id" } as const;

/**
 * A GGUF's tokenizer and chat template as the files of a Hugging Face folder: `AutoTokenizer` gives the ids that llama.cpp
 * gives, and `generate` stops where an answer ends.
 *
 * @param metadata of the GGUF, as `@huggingface/gguf` gives it
 * @throws InputError as `textFromGguf` does.
 */
export function tokenizerFiles(metadata: Readonly<Record<string, unknown>>, file = "GGUF"): TokenizerFiles {
  const text = readGgufText(metadata, file);
  const { endOfTurnIds } = buildTextCodec(text.tokenizerJson, text.settings);
  const ids = Object.entries(generationIds).flatMap(([key, name]) =>
    text.namedIds[key] === undefined ? [] : [[name, text.namedIds[key]]],
  );
  return {
    "tokenizer.json": tokenizerFile(text.tokenizerJson, openingStep(text)),
    "tokenizer_config.json": tokenizerConfig(text, metadata),
    "generation_config.json": { ...Object.fromEntries(ids), eos_token_id: endOfTurnIds },
  };
}

/**
 * The whole form of a tokenizer.json, which Python's `tokenizers` insists on.
 *
 * @param postProcessor what is put around a text
 */
export function tokenizerFile(json: TokenizerJson, postProcessor: Step | null = json.post_processor): object {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: json.added_tokens.map(({ singleWord, ...token }) => ({ ...token, single_word: singleWord })),
    normalizer: json.normalizer,
    pre_tokenizer: json.pre_tokenizer,
    post_processor: postProcessor,
    decoder: json.decoder,
    model: {
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      ...json.model,
    },
  };
}

const openingStep = ({ settings, namedIds }: GgufText): Step | null =>
  openingIds(settings.inputTemplate).length === 0 ? null : openingWith(settings.namedTokens.bos_token ?? "", namedIds.bos_token ?? 0);

/** Puts one token before every text. */
function openingWith(token: string, id: number): Step {
  const opening = { SpecialToken: { id: token, type_id: 0 } };
  const sequence = (name: string, type: number) => ({ Sequence: { id: name, type_id: type } });
  return {
    type: "TemplateProcessing",
    single: [opening, sequence("A", 0)],
    pair: [opening, sequence("A", 0), { SpecialToken: { id: token, type_id: 1 } }, sequence("B", 1)],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

function tokenizerConfig({ settings }: GgufText, metadata: Readonly<Record<string, unknown>>): object {
  const { chatTemplate, toolTemplate, namedTokens, inputTemplate } = settings;
  const templates = [
    { name: "default", template: chatTemplate },
    { name: "tool_use", template: toolTemplate },
  ];
  const length = Number(metadata[`${String(metadata["general.architecture"])}.context_length`]);
  return {
    ...namedTokens,
    add_bos_token: openingIds(inputTemplate).length > 0,
    clean_up_tokenization_spaces: false,
    ...(Number.isSafeInteger(length) ? { model_max_length: length } : {}),
    tokenizer_class: "PreTrainedTokenizerFast",
    ...(chatTemplate === undefined ? {} : { chat_template: toolTemplate === undefined ? chatTemplate : templates }),
  };
}
