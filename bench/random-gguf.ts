import { randomFillSync } from "node:crypto";
import type { GgufEntry, GgufTensor, GgufTensorInfo, GgufValue } from "../src/interchange/gguf/header.js";
import { writeGguf } from "../src/interchange/gguf/node/write-gguf.js";
import { exists } from "../src/weights/node/exists.js";
import { openGguf } from "../src/weights/node/open-checkpoint.js";
import { storedByteLength, storedFormats } from "../src/weights/stored-types.js";

// Writes GGUF with random weights in 4 bits, as a stream.

interface GgufShape {
  readonly hidden: number;
  readonly feedForward: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly positions: number;
  readonly vocabulary: number;
  readonly ropeTheta: number;
}

/** https://huggingface.co/meta-llama/Llama-3.2-3B/blob/main/config.json; the head is the embedding table. */
export const llama3bShape: GgufShape = {
  hidden: 3072,
  feedForward: 8192,
  layers: 28,
  heads: 24,
  keyHeads: 8,
  headSize: 128,
  positions: 131_072,
  vocabulary: 128_256,
  ropeTheta: 500_000,
};

type RandomTensor = GgufTensorInfo & { readonly type: "F32" | "Q4_0" | "Q8_0" };

/** Blocks that the weights repeat: time and memory of a step do not depend on their values. */
const TABLE_BLOCKS = 2 ** 15;
/** 0.02 and a little: codes from −8 to 7 deviate by 4.6, those from −128 to 127 by 74. In half precision. */
const scales = { Q4_0: 0x1c84, Q8_0: 0x0c81 } as const; // 0.0044, 0.00027

/** Writes a random Llama into a .gguf file, if it is not there: layers in Q4_0, the embedding in Q8_0, the tokenizer of another file. */
export async function writeRandomGguf(path: string, shape: GgufShape, tokenizerFile: string): Promise<void> {
  if (await exists(path)) return;
  const tables = { Q4_0: blockTable("Q4_0"), Q8_0: blockTable("Q8_0") };
  const tensors = tensorsOf(shape).map((tensor): GgufTensor => {
    const count = tensor.shape.reduce((product, size) => product * size, 1);
    const { type } = tensor;
    if (type === "F32") return { ...tensor, data: () => [new Float32Array(count).fill(1)] };
    return { ...tensor, data: () => repeated(tables[type], storedByteLength(type, count) ?? 0) };
  });
  await writeGguf(path, await metadataOf(shape, tokenizerFile), tensors);
}

function* repeated(table: Buffer, bytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes; at += table.length) yield table.subarray(0, Math.min(table.length, bytes - at));
}

function tensorsOf({ hidden, feedForward, layers, heads, keyHeads, headSize, vocabulary }: GgufShape): readonly RandomTensor[] {
  const norm = (name: string): RandomTensor => ({ name, shape: [hidden], type: "F32" });
  const layer = (name: string, inputs: number, outputs: number): RandomTensor => ({ name, shape: [outputs, inputs], type: "Q4_0" });
  const blocks = Array.from({ length: layers }, (_, block) => [
    norm(`blk.${block}.attn_norm.weight`),
    layer(`blk.${block}.attn_q.weight`, hidden, heads * headSize),
    layer(`blk.${block}.attn_k.weight`, hidden, keyHeads * headSize),
    layer(`blk.${block}.attn_v.weight`, hidden, keyHeads * headSize),
    layer(`blk.${block}.attn_output.weight`, heads * headSize, hidden),
    norm(`blk.${block}.ffn_norm.weight`),
    layer(`blk.${block}.ffn_gate.weight`, hidden, feedForward),
    layer(`blk.${block}.ffn_up.weight`, hidden, feedForward),
    layer(`blk.${block}.ffn_down.weight`, feedForward, hidden),
  ]);
  return [{ name: "token_embd.weight", shape: [vocabulary, hidden], type: "Q8_0" }, ...blocks.flat(), norm("output_norm.weight")];
}

async function metadataOf(shape: GgufShape, tokenizerFile: string): Promise<readonly GgufEntry[]> {
  const { metadata } = await openGguf(tokenizerFile);
  const own = {
    "general.architecture": "llama",
    "llama.block_count": shape.layers,
    "llama.context_length": shape.positions,
    "llama.embedding_length": shape.hidden,
    "llama.feed_forward_length": shape.feedForward,
    "llama.attention.head_count": shape.heads,
    "llama.attention.head_count_kv": shape.keyHeads,
    "llama.attention.key_length": shape.headSize,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": shape.ropeTheta,
  };
  const tokenizer = Object.entries(metadata).filter(([key]) => key.startsWith("tokenizer."));
  return [...Object.entries(own), ...tokenizer].map(([key, value]) => [key, typed(value)]);
}

/** Random codes, each block with the same scale. */
function blockTable(type: "Q4_0" | "Q8_0"): Buffer {
  const { bytes } = storedFormats[type];
  const table = randomFillSync(Buffer.alloc(TABLE_BLOCKS * bytes));
  for (let at = 0; at < table.length; at += bytes) table.writeUInt16LE(scales[type], at);
  return table;
}

/** A value with a type that it fits into. Lists hold texts or numbers. */
function typed(value: unknown): GgufValue {
  if (typeof value === "string") return { type: "string", value };
  if (typeof value === "boolean") return { type: "bool", value };
  if (typeof value === "number") return { type: Number.isInteger(value) ? "uint32" : "float32", value };
  if (!Array.isArray(value)) throw new Error(`a ${typeof value} is not written into GGUF`);
  return value.every((one) => typeof one === "string") ? { type: "strings", value } : { type: "float32s", value: value.map(Number) };
}
