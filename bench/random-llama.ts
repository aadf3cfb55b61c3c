import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createRandom } from "../src/data/random.js";
import { readModel } from "../src/models/index.js";
import { exists } from "../src/weights/node/exists.js";
import { writeSafetensors } from "../src/weights/node/write-safetensors.js";

/** https://huggingface.co/TinyLlama/TinyLlama-1.1B-Chat-v1.0/blob/main/config.json */
export const tinyLlamaShape = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  hidden_act: "silu",
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: 22,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  vocab_size: 32_000,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
} as const;

/** Numbers that the weights repeat: time and memory of a step do not depend on their values. */
const TABLE = 2 ** 20;
const DEVIATION = 0.02;

/** Writes a model of a shape with random weights in BF16 into a folder, if it is not there, with the tokenizer of another folder. */
export async function writeRandomLlama(folder: string, config: Readonly<Record<string, unknown>>, tokenizerFolder: string): Promise<void> {
  const file = join(folder, "model.safetensors");
  if (await exists(file)) return;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(config, null, 2));
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) await copyFile(join(tokenizerFolder, name), join(folder, name));
  const table = normalTable();
  const one = Uint16Array.of(0x3f80); // 1 in BF16
  await writeSafetensors(
    file,
    [...readModel(config).weights].map(([name, shape]) => {
      const count = shape.reduce((product, extent) => product * extent, 1);
      return { name, dtype: "BF16" as const, shape, data: () => (shape.length === 1 ? repeat(one, count) : repeat(table, count)) };
    }),
  );
}

async function* repeat(table: Uint16Array, count: number): AsyncGenerator<Uint16Array> {
  if (table.length === 1) {
    yield new Uint16Array(count).fill(table[0] ?? 0);
    return;
  }
  for (let start = 0; start < count; start += table.length) yield table.subarray(0, Math.min(table.length, count - start));
}

/** Normal numbers in BF16: the upper half of a float32. */
function normalTable(): Uint16Array {
  const values = new Float32Array(TABLE);
  createRandom(1, "bench").fillNormal(values, DEVIATION);
  return Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
}
