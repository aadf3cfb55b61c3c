import { InputError } from "../../../errors.js";
import type { RenamedGguf } from "./renamed-gguf.js";
import { rotaryScaling } from "./rotary.js";

/** What the configurations of rotary decoders share, in transformers' words; `rotated` values of each head are turned, all by default. */
export function decoderConfig(model: RenamedGguf, rotated = headSizeOf(model)): Record<string, unknown> {
  const { metadata, tensors } = model;
  const heads = metadata.count("attention.head_count");
  return {
    hidden_size: metadata.count("embedding_length"),
    num_hidden_layers: metadata.blocks(),
    num_attention_heads: heads,
    num_key_value_heads: metadata.optionalCount("attention.head_count_kv") ?? heads,
    head_dim: headSizeOf(model),
    intermediate_size: metadata.count("feed_forward_length"),
    vocab_size: vocabularySize(model, "model.embed_tokens.weight"),
    rms_norm_eps: metadata.decimal("attention.layer_norm_rms_epsilon", 1e-5),
    rope_theta: metadata.decimal("rope.freq_base", 10_000),
    rope_scaling: rotaryScaling(model, rotated),
    max_position_embeddings: metadata.count("context_length"),
    tie_word_embeddings: !tensors.has("lm_head.weight"),
    ...tokenIds(model),
  };
}

export function headSizeOf({ metadata }: RenamedGguf): number {
  const stated = metadata.optionalCount("attention.key_length");
  if (stated !== undefined) return stated;
  const heads = metadata.count("attention.head_count");
  const headSize = metadata.count("embedding_length") / heads;
  if (Number.isInteger(headSize)) return headSize;
  throw metadata.invalid("attention.head_count", "a divisor of the embedding length, since there is no attention.key_length");
}

/** Rows of the embedding: an entry of the metadata may count tokens that it lacks. */
export function vocabularySize({ metadata, tensors }: RenamedGguf, embedding: string): number {
  const rows = tensors.get(embedding)?.shape[0];
  if (rows === undefined) throw new InputError(`${metadata.file}: the embedding token_embd.weight is missing. Convert the model again.`);
  return rows;
}

export function tokenIds({ metadata }: RenamedGguf): Record<string, number | null> {
  return {
    bos_token_id: metadata.tokenId("bos"),
    eos_token_id: metadata.tokenId("eos"),
    pad_token_id: metadata.tokenId("padding"),
  };
}
