import { InputError } from "../../errors.js";
import { ConfigReader } from "../config-reader.js";
import {
  type Llama3,
  type LongRope,
  llama3Frequency,
  readLlama3,
  readLongRope,
  readYarn,
  type Yarn,
  yarnFrequencies,
} from "./rotary-scaling.js";

/** How rotary frequencies are stretched for contexts longer than those of the pretraining. */
export type RotaryScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  | ({ readonly kind: "llama3" } & Llama3)
  | ({ readonly kind: "yarn" } & Yarn)
  | ({ readonly kind: "longrope" } & LongRope);

/** The tables are part of every program: a million positions of heads of 128 fit, and the engine takes no program of 2 GiB. */
const MAX_TABLE_BYTES = 2 ** 29;

export interface Rotary {
  readonly theta: number;
  readonly scaling: RotaryScaling;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Rotary settings of a configuration, in its old spelling (`rope_theta`, `rope_scaling`) and its new one
 * (`rope_parameters`), of heads that turn whole.
 */
export function readRotary(config: Json, defaults: { readonly theta?: number } = {}): Rotary {
  const share = rotaryShare(config);
  if (share !== 1) throw new InputError(`config.json: "partial_rotary_factor" is ${share}; models of this type turn whole heads`);
  return readPartialRotary(config, defaults);
}

/** The share of each head's values, from the first on, that turn. */
export function rotaryShare(config: Json): number {
  const top = new ConfigReader(config);
  return ropeFields(config).positive("partial_rotary_factor", top.positive("partial_rotary_factor", 1));
}

/** The older spelling comes first where a file has both, as in transformers. */
function ropeFields(config: Json): ConfigReader {
  const top = new ConfigReader(config);
  return new ConfigReader(top.record("rope_scaling") ?? top.record("rope_parameters") ?? {}, "config.json: rope settings");
}

/**
 * Rotary settings of heads of which a part may turn.
 *
 * @param size how many values of a head do; lists of factors have one for each pair
 */
export function readPartialRotary(config: Json, { theta: usual = 10_000, size = 0 } = {}): Rotary {
  const top = new ConfigReader(config);
  const fields = ropeFields(config);
  const theta = fields.positive("rope_theta", top.positive("rope_theta", usual));
  const kind = fields.text("rope_type", fields.text("type", "default"));
  switch (kind) {
    case "default":
    // Beyond `max_position_embeddings` alone, which no program reaches, are frequencies of this kind others.
    case "dynamic":
      return { theta, scaling: { kind: "none" } };
    case "linear":
      return { theta, scaling: { kind, factor: fields.positive("factor") } };
    case "llama3":
      return { theta, scaling: { kind, ...readLlama3(fields, top) } };
    case "yarn":
      return { theta, scaling: { kind, ...readYarn(fields, top) } };
    case "longrope":
      if (size === 0) throw new InputError('config.json: rope type "longrope" is supported in models of type phi3 alone');
      return { theta, scaling: { kind, ...readLongRope(fields, top, size) } };
    default:
      throw new InputError(
        `config.json: rope type "${kind}" is not supported; supported are default, linear, dynamic, llama3, yarn and longrope`,
      );
  }
}

/**
 * Cosines and sines of position·frequency, each [positions, D/2] for D values of a head. Where longer texts have other frequencies,
 * as with LongRoPE, the rows of short texts stand before: [original + positions, D/2].
 *
 * @throws InputError where they would be too large.
 */
export function rotaryTables(rotary: Rotary, size: number, positions: number): { cos: Float32Array; sin: Float32Array } {
  const { scaling } = rotary;
  const lengths = scaling.kind === "longrope" && positions > scaling.original ? [scaling.original, positions] : [positions];
  const rows = lengths.reduce((sum, length) => sum + length, 0);
  if (4 * rows * size > MAX_TABLE_BYTES) {
    const most = Math.floor(MAX_TABLE_BYTES / (4 * size)) - (rows - positions);
    throw new InputError(
      `The model is to run with ${positions} positions; with heads of ${size}, ${most} is the most. Lower "max_position_embeddings" in its config.json, or in a GGUF the "context_length" of its architecture.`,
    );
  }
  const magnitude = "magnitude" in scaling ? scaling.magnitude : 1;
  const cos = new Float32Array((rows * size) / 2);
  const sin = new Float32Array(cos.length);
  let at = 0;
  for (const length of lengths) {
    const frequencies = rotaryFrequencies(rotary, size, length);
    for (let position = 0; position < length; position++) {
      for (const frequency of frequencies) {
        // The reference multiplies in float32; a far position turns by another angle otherwise.
        const angle = Math.fround(position * frequency);
        cos[at] = magnitude * Math.cos(angle);
        sin[at++] = magnitude * Math.sin(angle);
      }
    }
  }
  return { cos, sin };
}

/**
 * θᵢ = theta^(−2i/D), Su et al. 2021, section 3.3, stretched as the configuration says; float32 [D/2]. Each operation is rounded to
 * float32, as in PyTorch: at position 100,000 the last bit of a frequency is a hundredth of a turn's radian.
 *
 * @param positions of a text: LongRoPE has factors for short ones and others for long ones
 */
export function rotaryFrequencies({ theta, scaling }: Rotary, size: number, positions: number): Float32Array {
  const powers = Float32Array.from({ length: size / 2 }, (_, index) => theta ** Math.fround((2 * index) / size));
  const plain = powers.map((power) => 1 / power);
  switch (scaling.kind) {
    case "none":
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "llama3":
      return plain.map((frequency) => llama3Frequency(frequency, scaling));
    case "yarn":
      return yarnFrequencies(powers, theta, scaling);
    case "longrope": {
      const factors = positions > scaling.original ? scaling.long : scaling.short;
      return powers.map((power, index) => 1 / Math.fround(Math.fround(factors[index] ?? 1) * power));
    }
  }
}
