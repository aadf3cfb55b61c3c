import { randomFillSync } from "node:crypto";
import { writeStreamAtomic } from "../src/weights/node/atomic-file.js";
import { exists } from "../src/weights/node/exists.js";
import { openGguf } from "../src/weights/node/open-checkpoint.js";

// Writes GGUF (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) with random weights in 4 bits, as a stream.

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

/** Numbers of the types in the file, and bytes that a block of so many weights takes. */
const types = {
  F32: { id: 0, weights: 1, bytes: 4 },
  Q4_0: { id: 2, weights: 32, bytes: 18 },
  Q8_0: { id: 8, weights: 32, bytes: 34 },
} as const;

interface GgufTensor {
  readonly name: string;
  /** Innermost dimension first. */
  readonly dims: readonly number[];
  readonly type: keyof typeof types;
}

const ALIGNMENT = 32;
/** Blocks that the weights repeat: time and memory of a step do not depend on their values. */
const TABLE_BLOCKS = 2 ** 15;
/** 0.02 and a little: codes from −8 to 7 deviate by 4.6, those from −128 to 127 by 74. In half precision. */
const scales = { Q4_0: 0x1c84, Q8_0: 0x0c81 } as const; // 0.0044, 0.00027

/** Writes a random Llama into a .gguf file, if it is not there: layers in Q4_0, the embedding in Q8_0, the tokenizer of another file. */
export async function writeRandomGguf(path: string, shape: GgufShape, tokenizerFile: string): Promise<void> {
  if (await exists(path)) return;
  const tensors = tensorsOf(shape);
  const header = await headerOf(shape, tensors, tokenizerFile);
  await writeStreamAtomic(path, async (sink) => {
    await sink.write(padded(header));
    const tables = { Q4_0: blockTable("Q4_0"), Q8_0: blockTable("Q8_0") };
    for (const tensor of tensors) {
      const bytes = byteLength(tensor);
      if (tensor.type === "F32") {
        await sink.write(padded(new Uint8Array(new Float32Array(bytes / 4).fill(1).buffer)));
        continue;
      }
      const table = tables[tensor.type];
      for (let at = 0; at < bytes; at += table.length) await sink.write(table.subarray(0, Math.min(table.length, bytes - at)));
      await sink.write(new Uint8Array(paddedLength(bytes) - bytes));
    }
  });
}

function tensorsOf({ hidden, feedForward, layers, heads, keyHeads, headSize, vocabulary }: GgufShape): readonly GgufTensor[] {
  const norm = (name: string): GgufTensor => ({ name, dims: [hidden], type: "F32" });
  const layer = (name: string, inputs: number, outputs: number): GgufTensor => ({ name, dims: [inputs, outputs], type: "Q4_0" });
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
  return [{ name: "token_embd.weight", dims: [hidden, vocabulary], type: "Q8_0" }, ...blocks.flat(), norm("output_norm.weight")];
}

async function headerOf(shape: GgufShape, tensors: readonly GgufTensor[], tokenizerFile: string): Promise<Buffer> {
  const { metadata } = await openGguf(tokenizerFile);
  const entries = [
    entry("general.architecture", "llama"),
    entry("llama.block_count", shape.layers),
    entry("llama.context_length", shape.positions),
    entry("llama.embedding_length", shape.hidden),
    entry("llama.feed_forward_length", shape.feedForward),
    entry("llama.attention.head_count", shape.heads),
    entry("llama.attention.head_count_kv", shape.keyHeads),
    entry("llama.attention.key_length", shape.headSize),
    entry("llama.attention.layer_norm_rms_epsilon", 1e-5),
    entry("llama.rope.freq_base", shape.ropeTheta),
    ...Object.entries(metadata).flatMap(([key, value]) => (key.startsWith("tokenizer.") ? [entry(key, value)] : [])),
  ];
  let offset = 0;
  const infos = tensors.map((tensor) => {
    const info = [text(tensor.name), u32(tensor.dims.length), ...tensor.dims.map(u64), u32(types[tensor.type].id), u64(offset)];
    offset += paddedLength(byteLength(tensor));
    return Buffer.concat(info);
  });
  return Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(entries.length), ...entries, ...infos]);
}

function byteLength({ dims, type }: GgufTensor): number {
  const { weights, bytes } = types[type];
  return (dims.reduce((product, size) => product * size, 1) / weights) * bytes;
}

const paddedLength = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
const padded = (bytes: Uint8Array) => Buffer.concat([bytes], paddedLength(bytes.byteLength));

/** Random codes, each block with the same scale. */
function blockTable(type: "Q4_0" | "Q8_0"): Buffer {
  const { bytes } = types[type];
  const table = randomFillSync(Buffer.alloc(TABLE_BLOCKS * bytes));
  for (let at = 0; at < table.length; at += bytes) table.writeUInt16LE(scales[type], at);
  return table;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

/** A key with its value: type, then bytes. Lists hold texts or numbers. */
function entry(key: string, value: unknown): Buffer {
  return Buffer.concat([text(key), typed(value)]);
}

function typed(value: unknown): Buffer {
  if (typeof value === "string") return Buffer.concat([u32(8), text(value)]);
  if (typeof value === "boolean") return Buffer.concat([u32(7), Buffer.of(Number(value))]);
  if (Array.isArray(value)) {
    const isText = value.every((one) => typeof one === "string");
    return Buffer.concat([u32(9), u32(isText ? 8 : 6), u64(value.length), ...value.map((one) => (isText ? text(one) : f32(one)))]);
  }
  if (typeof value !== "number") throw new Error(`a ${typeof value} is not written into GGUF`);
  return Number.isInteger(value) ? Buffer.concat([u32(4), u32(value)]) : Buffer.concat([u32(6), f32(value)]);
}

function f32(value: unknown): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(Number(value));
  return bytes;
}
