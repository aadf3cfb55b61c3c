import type { ConfigReader } from "../config-reader.js";

// Ways of stretching rotary frequencies, as transformers computes them (modeling_rope_utils.py), each step in float32.

const { fround } = Math;

export interface Llama3 {
  /** What long wavelengths are multiplied by. */
  readonly factor: number;
  /** Full turns within the original context, below which a pair is stretched whole, and above which it stays. */
  readonly low: number;
  readonly high: number;
  /** Longest context of the pretraining, in tokens. */
  readonly original: number;
}

/** The longest context of the pretraining: named beside the rope settings, in them, or the longest of all. */
function originalPositions(fields: ConfigReader, top: ConfigReader): number {
  const field = "original_max_position_embeddings";
  return top.optionalCount(field) ?? fields.optionalCount(field) ?? top.count("max_position_embeddings");
}

/** The rope settings of `rope_type` "llama3". */
export function readLlama3(fields: ConfigReader, top: ConfigReader): Llama3 {
  return {
    factor: fields.positive("factor"),
    low: fields.positive("low_freq_factor"),
    high: fields.positive("high_freq_factor"),
    original: originalPositions(fields, top),
  };
}

/**
 * Llama 3.1's rule: wavelengths beyond original/low are divided by the factor, those below original/high stay, and
 * between them the two are blended (Grattafiori et al. 2024, section 3.2).
 */
export function llama3Frequency(frequency: number, { factor, low, high, original }: Llama3): number {
  const wavelength = fround((2 * Math.PI) / frequency);
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return frequency / factor;
  const smooth = fround(fround(fround(original / wavelength) - low) / (high - low));
  return fround(fround(fround(1 - smooth) * frequency) / factor) + fround(smooth * frequency);
}

export interface Yarn {
  readonly factor: number;
  readonly original: number;
  /** Full turns within the original context, from which on a pair stays as it is, and up to which it is stretched whole. */
  readonly fast: number;
  readonly slow: number;
  /** The pairs between which it is blended are whole numbers. */
  readonly truncate: boolean;
  /** Factor on queries and keys. */
  readonly magnitude: number;
}

/** The rope settings of `rope_type` "yarn", missing ones as transformers completes them. */
export function readYarn(fields: ConfigReader, top: ConfigReader): Yarn {
  const original = originalPositions(fields, top);
  const factor = fields.optionalPositive("factor") ?? top.count("max_position_embeddings") / original;
  const [one, all] = [fields.optionalPositive("mscale"), fields.optionalPositive("mscale_all_dim")];
  const usual = one === undefined || all === undefined ? yarnMagnitude(factor, 1) : yarnMagnitude(factor, one) / yarnMagnitude(factor, all);
  return {
    factor,
    original,
    fast: fields.optionalPositive("beta_fast") ?? 32,
    slow: fields.optionalPositive("beta_slow") ?? 1,
    truncate: fields.flag("truncate", true),
    magnitude: fields.optionalPositive("attention_factor") ?? usual,
  };
}

/** Peng et al. 2023, "YaRN", eq. 22. */
function yarnMagnitude(factor: number, scale: number): number {
  return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
}

/** Peng et al. 2023, "YaRN", section 3.2: pairs that turn often stay, those that turn seldom are stretched, the rest is blended. Of theta^(2i/D). */
export function yarnFrequencies(powers: Float32Array, theta: number, { factor, original, fast, slow, truncate }: Yarn): Float32Array {
  const size = 2 * powers.length;
  const pairOfTurns = (turns: number) => (size * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [from, to] = truncate ? [Math.floor(pairOfTurns(fast)), Math.ceil(pairOfTurns(slow))] : [pairOfTurns(fast), pairOfTurns(slow)];
  const low = Math.max(from, 0);
  const high = Math.min(to, size - 1);
  const width = high === low ? 0.001 : high - low;
  return powers.map((power, index) => {
    const kept = fround(1 - Math.min(Math.max(fround(fround(index - fround(low)) / fround(width)), 0), 1));
    return fround(fround(1 / fround(factor * power)) * fround(1 - kept)) + fround(fround(1 / power) * kept);
  });
}

export interface LongRope {
  /** What each pair's frequency is divided by, in contexts up to the original one and beyond. */
  readonly short: readonly number[];
  readonly long: readonly number[];
  readonly original: number;
  /** Factor on queries and keys. */
  readonly magnitude: number;
}

/** LongRoPE (Ding et al. 2024), its factors found by search. */
export function readLongRope(fields: ConfigReader, top: ConfigReader, size: number): LongRope {
  const original = originalPositions(fields, top);
  const factor = fields.optionalPositive("factor") ?? top.count("max_position_embeddings") / original;
  return {
    short: fields.positives("short_factor", size / 2),
    long: fields.positives("long_factor", size / 2),
    original,
    magnitude: fields.optionalPositive("attention_factor") ?? longRopeMagnitude(factor, original),
  };
}

/** Ding et al. 2024, as Phi-3 has it. */
function longRopeMagnitude(factor: number, original: number): number {
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
}
