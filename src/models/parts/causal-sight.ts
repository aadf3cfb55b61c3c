import { InputError } from "../../errors.js";
import type { ConfigReader } from "../config-reader.js";

/**
 * Decoders whose configuration lets tokens see later ones, as some that were made into encoders of sentences.
 *
 * @throws InputError where a field says so.
 */
export function requireCausalSight(config: ConfigReader, modelType: string): void {
  for (const [field, usual] of [
    ["is_causal", true],
    ["use_bidirectional_attention", false],
  ] as const) {
    if (config.flag(field, usual) !== usual) {
      throw new InputError(`config.json: "${field}" is ${!usual}; a ${modelType} whose tokens see later ones is not supported`);
    }
  }
}
