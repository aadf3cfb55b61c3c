import { InputError } from "../errors.js";
import { type Checkpoint, readStoredTensor, type StoredTensor } from "./checkpoint.js";

// What llama.cpp's converter does to a model of architecture `llama`, undone: names, the order of q's and k's rows, and
// the configuration, which GGUF keeps in its metadata.       llama.cpp: convert_hf_to_gguf.py, gguf-py/gguf/tensor_mapping.py

type Metadata = Readonly<Record<string, unknown>>;

/** The divisors of the rotary frequencies; the one tensor that has no name in a Hugging Face checkpoint. */
const ROPE_FACTORS = "rope_freqs.weight";
const MAX_LAYERS = 1024;

const outerNames: Readonly<Record<string, string>> = { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" };

const layerNames: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** Hugging Face's name of a tensor of architecture `llama`, or undefined where there is none. */
export function llamaTensorName(name: string): string | undefined {
  const [, layer, part = "", kind] = /^(?:blk\.(\d{1,4})\.)?([a-z_]+)\.(weight|bias)$/.exec(name) ?? [];
  if (kind === undefined) return undefined;
  const names = layer === undefined ? outerNames : layerNames;
  if (!Object.hasOwn(names, part)) return undefined;
  return layer === undefined ? `${names[part]}.${kind}` : `model.layers.${Number(layer)}.${names[part]}.${kind}`;
}

/** The tensors under Hugging Face's names, q and k marked so that reading restores the order of their rows. */
export function llamaTensors(
  file: string,
  metadata: Metadata,
  tensors: ReadonlyMap<string, StoredTensor>,
): ReadonlyMap<string, StoredTensor> {
  if (metadata["llama.expert_count"] !== undefined && metadata["llama.expert_count"] !== 0) {
    throw new InputError(`${file}: a mixture of experts (llama.expert_count) cannot be fine-tuned here. Use a dense model.`);
  }
  const heads = requireCount(file, metadata, "llama.attention.head_count");
  const keyHeads =
    metadata["llama.attention.head_count_kv"] === undefined ? heads : requireCount(file, metadata, "llama.attention.head_count_kv");
  const renamed = new Map<string, StoredTensor>();
  const unknown: string[] = [];
  for (const tensor of tensors.values()) {
    const name = llamaTensorName(tensor.name);
    if (name === undefined) {
      if (tensor.name !== ROPE_FACTORS) unknown.push(tensor.name);
      continue;
    }
    const interleaved = name.includes(".q_proj.") ? heads : name.includes(".k_proj.") ? keyHeads : undefined;
    if (interleaved !== undefined && (tensor.shape[0] ?? 0) % (2 * interleaved) !== 0) {
      throw new InputError(
        `${file}: tensor ${tensor.name} has ${tensor.shape[0]} rows, which ${interleaved} heads of an even size cannot share.`,
      );
    }
    renamed.set(name, { ...tensor, name, ...(interleaved === undefined ? {} : { interleavedHeads: interleaved }) });
  }
  if (unknown.length > 0) {
    throw new InputError(`${file}: ${unknown.length} tensors are not part of a Llama model, such as ${unknown.slice(0, 3).join(", ")}.`);
  }
  return renamed;
}

/** The divisors of the rotary frequencies, [D/2], where the file has them. */
export async function readRopeFactors(tensors: ReadonlyMap<string, StoredTensor>): Promise<Float32Array | undefined> {
  const tensor = tensors.get(ROPE_FACTORS);
  return tensor === undefined ? undefined : await readStoredTensor(tensor);
}

/**
 * The `config.json` that Hugging Face's checkpoint of the same model has. Names are that file's.
 * Throws InputError where the metadata lack an entry or contradict the tensors.
 */
export function ggufLlamaConfig(model: {
  readonly metadata: Metadata;
  readonly checkpoint: Pick<Checkpoint, "tensors">;
  readonly ropeFactors: Float32Array | undefined;
}): Record<string, unknown> {
  const { metadata, checkpoint, ropeFactors } = model;
  const file = checkpoint.tensors.values().next().value?.source.name ?? "the GGUF file";
  const embedding = checkpoint.tensors.get("model.embed_tokens.weight");
  if (embedding === undefined) throw new InputError(`${file}: the embedding token_embd.weight is missing. Convert the model again.`);
  const heads = requireCount(file, metadata, "llama.attention.head_count");
  const hidden = requireCount(file, metadata, "llama.embedding_length");
  const headSize =
    optionalCount(file, metadata, "llama.attention.key_length") ??
    optionalCount(file, metadata, "llama.rope.dimension_count") ??
    hidden / heads;
  const theta = optionalNumber(file, metadata, "llama.rope.freq_base") ?? 10_000;
  return {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_act: "silu",
    hidden_size: hidden,
    num_hidden_layers: requireCount(file, metadata, "llama.block_count", MAX_LAYERS),
    num_attention_heads: heads,
    num_key_value_heads: optionalCount(file, metadata, "llama.attention.head_count_kv") ?? heads,
    head_dim: headSize,
    intermediate_size: requireCount(file, metadata, "llama.feed_forward_length"),
    vocab_size: embedding.shape[0],
    rms_norm_eps: tidyFloat(optionalNumber(file, metadata, "llama.attention.layer_norm_rms_epsilon") ?? 1e-5),
    rope_theta: tidyFloat(theta),
    rope_scaling: ropeScaling(file, metadata, theta, headSize, ropeFactors),
    max_position_embeddings: requireCount(file, metadata, "llama.context_length"),
    attention_bias: checkpoint.tensors.has("model.layers.0.self_attn.q_proj.bias"),
    mlp_bias: checkpoint.tensors.has("model.layers.0.mlp.gate_proj.bias"),
    tie_word_embeddings: !checkpoint.tensors.has("lm_head.weight"),
    bos_token_id: optionalNumber(file, metadata, "tokenizer.ggml.bos_token_id") ?? null,
    eos_token_id: optionalNumber(file, metadata, "tokenizer.ggml.eos_token_id") ?? null,
    pad_token_id: optionalNumber(file, metadata, "tokenizer.ggml.padding_token_id") ?? null,
  };
}

function ropeScaling(file: string, metadata: Metadata, theta: number, headSize: number, factors: Float32Array | undefined): unknown {
  if (factors !== undefined) return llama3Scaling(file, theta, headSize, factors);
  const type = metadata["llama.rope.scaling.type"];
  if (type === undefined || type === "none") return null;
  const factor = optionalNumber(file, metadata, "llama.rope.scaling.factor");
  const original = optionalCount(file, metadata, "llama.rope.scaling.original_context_length");
  return { rope_type: type, factor, ...(original === undefined ? {} : { original_max_position_embeddings: original }) };
}

/**
 * The four numbers of Llama 3's scaling, found again from the divisors that the converter made of them:
 *
 *   divisor = 1 for wavelengths λ < L/high,  f for λ > L/low,  else 1 / ((1−s)/f + s),  s = (L/λ − low) / (high − low)
 *
 * The converter writes no parameters, and every Llama 3 model has low 1, high 4, L 8192; f is the largest divisor. They are
 * taken only if they give the stored divisors back.    transformers: modeling_rope_utils.py, _compute_llama3_parameters
 */
function llama3Scaling(file: string, theta: number, headSize: number, factors: Float32Array): Record<string, unknown> {
  const low = 1;
  const high = 4;
  const original = 8192;
  const factor = tidyFloat(factors.reduce((a, b) => Math.max(a, b), 1));
  const agrees =
    factors.length === headSize / 2 &&
    factors.every((stored, i) => {
      const wavelength = 2 * Math.PI * theta ** ((2 * i) / headSize);
      const smooth = Math.min(1, Math.max(0, (original / wavelength - low) / (high - low)));
      const expected = 1 / ((1 - smooth) / factor + smooth);
      return Math.abs(stored - expected) <= 1e-4 * expected;
    });
  if (!agrees) {
    throw new InputError(
      `${file}: the rotary factors in rope_freqs.weight are not those of Llama 3 scaling. Use the model's safetensors folder instead.`,
    );
  }
  return { rope_type: "llama3", factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original };
}

/** A float32 from the metadata as the short decimal that it was written from: 0.000009999999747378752 → 1e-5. */
function tidyFloat(value: number): number {
  const short = Number(value.toPrecision(7));
  return Math.fround(short) === Math.fround(value) ? short : value;
}

function requireCount(file: string, metadata: Metadata, key: string, limit = 2 ** 24): number {
  const value = optionalCount(file, metadata, key, limit);
  if (value === undefined) throw new InputError(`${file}: the metadata lack ${key}. Convert the model again.`);
  return value;
}

function optionalCount(file: string, metadata: Metadata, key: string, limit = 2 ** 24): number | undefined {
  const value = optionalNumber(file, metadata, key);
  if (value !== undefined && (!Number.isInteger(value) || value < 1 || value > limit)) {
    throw new InputError(`${file}: ${key} is ${value}; expected a whole number from 1 to ${limit}.`);
  }
  return value;
}

function optionalNumber(file: string, metadata: Metadata, key: string): number | undefined {
  const value = metadata[key];
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isFinite(value)) throw new InputError(`${file}: ${key} is ${String(value)}; expected a number.`);
  return value;
}
