import { InputError } from "../../errors.js";
import { ConfigReader } from "../config-reader.js";

/** How rotary frequencies are stretched for contexts longer than those of the pretraining. */
export type RotaryScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  | { readonly kind: "llama3"; readonly factor: number; readonly low: number; readonly high: number; readonly original: number };

/** The tables are part of every program: a million positions of heads of 128 fit, and the engine takes no program of 2 GiB. */
const MAX_TABLE_BYTES = 2 ** 29;

export interface Rotary {
  readonly theta: number;
  readonly scaling: RotaryScaling;
}

/**
 * Rotary settings of a configuration, in its old spelling (`rope_theta`, `rope_scaling`) and its new one
 * (`rope_parameters`).
 */
export function readRotary(config: Readonly<Record<string, unknown>>, { theta: usual = 10_000 } = {}): Rotary {
  const top = new ConfigReader(config);
  const nested = top.record("rope_parameters") ?? top.record("rope_scaling");
  const fields = new ConfigReader(nested ?? {}, "config.json: rope settings");
  const theta = fields.positive("rope_theta", top.positive("rope_theta", usual));
  const kind = fields.text("rope_type", fields.text("type", "default"));
  switch (kind) {
    case "default":
      return { theta, scaling: { kind: "none" } };
    case "linear":
      return { theta, scaling: { kind: "linear", factor: fields.positive("factor") } };
    case "llama3":
      return { theta, scaling: readLlama3(fields) };
    default:
      throw new InputError(`config.json: rope type "${kind}" is not supported; supported are default, linear and llama3`);
  }
}

function readLlama3(fields: ConfigReader): RotaryScaling {
  return {
    kind: "llama3",
    factor: fields.positive("factor"),
    low: fields.positive("low_freq_factor"),
    high: fields.positive("high_freq_factor"),
    original: fields.count("original_max_position_embeddings"),
  };
}

/** Cosines and sines of position·frequency, each [positions, headSize/2]. Throws InputError where they would be too large. */
export function rotaryTables(rotary: Rotary, headSize: number, positions: number): { cos: Float32Array; sin: Float32Array } {
  if (4 * positions * headSize > MAX_TABLE_BYTES) {
    const most = Math.floor(MAX_TABLE_BYTES / (4 * headSize));
    throw new InputError(
      `The model is to run with ${positions} positions; with heads of ${headSize}, ${most} is the most. Lower "max_position_embeddings" in its config.json, or in a GGUF "llama.context_length".`,
    );
  }
  const frequencies = rotaryFrequencies(rotary, headSize);
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position++) {
    for (const [index, frequency] of frequencies.entries()) {
      // The reference multiplies in float32; a far position turns by another angle otherwise.
      const angle = Math.fround(position * frequency);
      cos[position * half + index] = Math.cos(angle);
      sin[position * half + index] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

/** θᵢ = theta^(−2i/D), Su et al. 2021, section 3.3, stretched as the configuration says; float32 [headSize/2]. */
export function rotaryFrequencies({ theta, scaling }: Rotary, headSize: number): Float32Array {
  const plain = Float32Array.from({ length: headSize / 2 }, (_, index) => 1 / theta ** ((2 * index) / headSize));
  switch (scaling.kind) {
    case "none":
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "llama3":
      return plain.map((frequency) => llama3Frequency(frequency, scaling));
  }
}

/**
 * Llama 3.1's rule: wavelengths beyond original/low are divided by the factor, those below original/high stay, and
 * between them the two are blended (Grattafiori et al. 2024, section 3.2, as transformers computes it).
 */
function llama3Frequency(frequency: number, { factor, low, high, original }: Extract<RotaryScaling, { kind: "llama3" }>): number {
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return frequency / factor;
  const smooth = (original / wavelength - low) / (high - low);
  return (1 - smooth) * (frequency / factor) + smooth * frequency;
}
