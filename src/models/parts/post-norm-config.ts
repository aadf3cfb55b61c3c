import { InputError } from "../../errors.js";
import type { ConfigReader } from "../config-reader.js";
import { readGeluKind } from "./gelu-kind.js";
import type { PostNormEncoder } from "./post-norm-encoder.js";

/**
 * The encoder that a configuration of BERT or RoBERTa describes.
 *
 * @param firstPosition row of the table of positions at which texts begin
 * @throws InputError where a field is missing or asks for what is not supported.
 */
export function readPostNormEncoder(config: ConfigReader, prefix: string, firstPosition: number): PostNormEncoder {
  const hidden = config.count("hidden_size");
  const heads = config.count("num_attention_heads");
  const positionRows = config.count("max_position_embeddings", 512);
  if (hidden % heads !== 0) throw new InputError(`config.json: ${heads} heads cannot share ${hidden} columns evenly`);
  if (positionRows <= firstPosition) {
    throw new InputError(`config.json: "max_position_embeddings" is ${positionRows}; texts begin at position ${firstPosition}`);
  }
  const kind = config.text("position_embedding_type", "absolute");
  if (kind !== "absolute") throw new InputError(`config.json: "position_embedding_type" is "${kind}"; supported is "absolute"`);
  for (const field of ["is_decoder", "add_cross_attention"]) {
    if (config.flag(field, false))
      throw new InputError(`config.json: "${field}" is true; this architecture is supported as an encoder alone`);
  }
  return {
    prefix,
    dimensions: {
      vocabulary: config.count("vocab_size"),
      hidden,
      blocks: config.count("num_hidden_layers"),
      heads,
      kvHeads: heads,
      headSize: hidden / heads,
      maxPositions: positionRows - firstPosition,
    },
    feedForward: config.count("intermediate_size"),
    epsilon: config.positive("layer_norm_eps", 1e-12),
    activation: readGeluKind(config, "hidden_act", "gelu"),
    tokenTypes: config.count("type_vocab_size", 2),
    positionRows,
    firstPosition,
  };
}
