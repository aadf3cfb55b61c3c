import type { GgufEntry } from "../../src/interchange/gguf/header.js";
import { ggufTokenizer } from "../../src/interchange/gguf/write-tokenizer.js";
import { textCodecOf } from "../../src/text/codec.js";
import { readFolderText } from "../../src/text/node/load.js";

/** The tokenizers of tests/golden/text that have a name in GGUF. */
export const tokenizerKinds = ["cl100k", "gemma3", "llama2", "llama3", "o200k", "phi3", "qwen3"] as const;

/** The metadata of a GGUF that holds a tokenizer and no weights. */
export async function tokenizerEntries(kind: string, folder: string): Promise<readonly GgufEntry[]> {
  const text = await readFolderText(folder);
  const rows = textCodecOf(text.tokenizerJson, text.settings).vocabSize;
  const count = (key: string, value: number): GgufEntry => [`llama.${key}`, { type: "uint32", value }];
  return [
    ["general.architecture", { type: "string", value: "llama" }],
    ["general.name", { type: "string", value: kind }], // llama.cpp knows Phi-3's tokens by it
    count("block_count", 1),
    count("context_length", 64),
    count("embedding_length", 32),
    count("feed_forward_length", 32),
    count("attention.head_count", 1),
    ["llama.attention.layer_norm_rms_epsilon", { type: "float32", value: 1e-5 }],
    count("vocab_size", rows),
    ...ggufTokenizer(text, rows),
  ];
}
