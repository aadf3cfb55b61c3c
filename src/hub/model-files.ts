/** Where a model's files are: a folder with config.json and safetensors, or one GGUF file. Absolute paths. */
export type ModelFiles = { readonly kind: "folder"; readonly path: string } | { readonly kind: "gguf"; readonly path: string };

/** Files of a model's folder that say what the model is and how text is read; as far as a model has them. */
export const companionFiles: readonly string[] = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "tokenizer.model",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
  "modules.json",
  "sentence_bert_config.json",
  "config_sentence_transformers.json",
  "1_Pooling/config.json",
];

/** Folders of a model's folder in which such files lie. */
export const companionFolders: readonly string[] = ["1_Pooling"];
