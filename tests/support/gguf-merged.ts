import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { GgufEntry } from "../../src/interchange/gguf/header.js";
import { type GgufModelFile, ggufOfFolder, ggufOfGguf } from "../../src/interchange/gguf/write-model.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { readLanguageModel } from "../../src/models/index.js";
import { modelCheckpoint } from "../../src/models/model-checkpoint.js";
import { memorySource } from "../../src/weights/byte-source.js";
import { buildCheckpoint, type StoredTensor } from "../../src/weights/checkpoint.js";
import { openGguf, openRawGguf, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import type { WrittenType } from "../../src/weights/written-types.js";
import { randomAdapter, strengths } from "./gguf-adapter.js";
import { seededLlama } from "./seeded-llama.js";

// Models with adapters folded in, as GGUF: the same files for the script that gives them to llama.cpp and for the tests.

/** The folders of tests/golden that GGUF can express: PEFT's adapter folded into safetensors. */
export const folderNames = ["tiny-llama3", "mistral", "qwen2", "qwen2-window"] as const;

/** How many tokens of a golden's first text its GGUF is for: as many as the smallest window shows. */
export const textLengths: Readonly<Record<string, number>> = { mistral: 5, "qwen2-window": 4 };

/** Token ids of a golden's first text. */
export function firstText(folder: string): readonly number[] {
  return JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")).batches[0].input_ids[0];
}

/** A vocabulary of so many tokens. WordPiece: of all kinds that llama.cpp knows, the one that is content with any few tokens. */
export function anyVocabulary(rows: number): readonly GgufEntry[] {
  const special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"];
  const tokens = Array.from({ length: rows }, (_, id) => special[id] ?? `\u2581token${id}`);
  const id = (name: string, value: number): GgufEntry => [`tokenizer.ggml.${name}_token_id`, { type: "uint32", value }];
  return [
    ["tokenizer.ggml.model", { type: "string", value: "bert" }],
    ["tokenizer.ggml.pre", { type: "string", value: "default" }],
    ["tokenizer.ggml.tokens", { type: "strings", value: tokens }],
    ["tokenizer.ggml.token_type", { type: "int32s", value: tokens.map((_, index) => (index < 3 ? 3 : index === 3 ? 2 : 1)) }],
    id("bos", 1),
    id("eos", 2),
    id("unknown", 3),
    id("padding", 0),
  ];
}

/** Base and PEFT's adapter of a golden's folder. */
export async function mergedFolder(folder: string, type: WrittenType = "F32"): Promise<GgufModelFile> {
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  const model = readLanguageModel(config);
  const checkpoint = modelCheckpoint(await openSafetensorsFolder(folder), model);
  const adapter = await readAdapterFolder(join(folder, "adapter"));
  return ggufOfFolder({ model, checkpoint, adapter, type }, config, anyVocabulary(model.dimensions.vocabulary), "tiny");
}

/** A model of tests/golden/gguf with the random adapter that llama.cpp was given beside it: from the GGUF, and as if from a folder. */
export async function mergedGguf(name: string, path: string): Promise<{ readonly gguf: GgufModelFile; readonly folder: GgufModelFile }> {
  const { config, checkpoint } = await openGguf(path);
  const model = readLanguageModel(config);
  const source = { model, checkpoint, adapter: randomAdapter(model, strengths[name]), type: "F32" } as const;
  return {
    gguf: await ggufOfGguf(source, await openRawGguf(path)),
    folder: ggufOfFolder(source, config, anyVocabulary(model.dimensions.vocabulary), "tiny"),
  };
}

/** The types of blocks that a merged model can be written in. */
export const blockTypes = ["Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0"] as const;

/** A seeded Llama whose rows are whole super-blocks, with a random adapter folded in, in blocks. */
export function mergedInBlocks(type: WrittenType): GgufModelFile {
  const { model, weights } = seededLlama({ blocks: 1, hidden: 256, seed: 3 });
  const tensors = [...model.weights].map(([name, shape]): StoredTensor => {
    const { data } = weights(name);
    if (!(data instanceof Uint8Array)) throw new Error(`${name} is in no memory`);
    return { name, type: "F32", shape, source: memorySource(name, data), offset: 0, byteLength: data.byteLength };
  });
  const checkpoint = buildCheckpoint(new Map(tensors.map((tensor) => [tensor.name, tensor])));
  const config = {
    hidden_size: 256,
    intermediate_size: 512,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 64,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  };
  // So weak that the attention is no lottery: llama.cpp rounds what quantised products read, too.
  const random = randomAdapter(model);
  const adapter = { ...random, layers: random.layers.map((layer) => ({ ...layer, scale: layer.scale / 20 })) };
  const source = { model, checkpoint, adapter, type };
  return ggufOfFolder(source, config, anyVocabulary(model.dimensions.vocabulary), "seeded");
}
