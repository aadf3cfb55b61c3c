import { InputError } from "../../../errors.js";
import { readStoredTensor, type StoredTensor } from "../../checkpoint.js";
import { type GgufMetadataReader, tidyFloat } from "./metadata-reader.js";
import type { RenamedGguf, RotaryFactors } from "./renamed-gguf.js";

const factorTensors = {
  all: "rope_freqs.weight",
  short: "rope_factors_short.weight",
  long: "rope_factors_long.weight",
} as const satisfies Record<keyof RotaryFactors, string>;

/** Divisors are read before the head size is known. */
const MAX_FACTORS = 4096;

/** Names of the tensors that are read as rotary factors and are no weights. */
export const rotaryFactorTensors: ReadonlySet<string> = new Set(Object.values(factorTensors));

/** The stored factors on wavelengths, one a pair of a head. @throws InputError at tensors of another shape. */
export async function readRotaryFactors(file: string, tensors: ReadonlyMap<string, StoredTensor>): Promise<RotaryFactors> {
  const read: Record<string, Float32Array> = {};
  for (const [which, name] of Object.entries(factorTensors)) {
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    if (tensor.shape.length !== 1 || (tensor.shape[0] ?? 0) > MAX_FACTORS) {
      throw new InputError(`${file}: ${name} is [${tensor.shape.join(", ")}]; expected a number for each pair of a head.`);
    }
    read[which] = await readStoredTensor(tensor);
  }
  return read;
}

/** `rope_scaling` as transformers has it, or null, for heads that are rotated over `rotated` of their values. */
export function rotaryScaling({ metadata, rotaryFactors }: RenamedGguf, rotated: number): Record<string, unknown> | null {
  const { all, short, long } = rotaryFactors;
  if (short !== undefined || long !== undefined) return longScaling(metadata, rotated, short, long);
  if (all !== undefined) return llama3Scaling(metadata, rotated, all);
  // llama.cpp takes a factor without a type as linear, and 0 as none.
  const type = metadata.value("rope.scaling.type") ?? "linear";
  const factor = metadata.decimal("rope.scaling.factor") ?? metadata.decimal("rope.scale_linear") ?? 0;
  switch (type) {
    case "none":
      return null;
    case "linear":
      return factor === 0 || factor === 1 ? null : { rope_type: "linear", factor };
    case "yarn":
      return yarnScaling(metadata, factor);
    case "longrope":
      throw new InputError(
        `${metadata.file}: the rotary embedding is LongRoPE's, but ${factorTensors.short} and ${factorTensors.long} are missing. Convert the model again.`,
      );
    default:
      throw metadata.invalid("rope.scaling.type", "none, linear, yarn or longrope");
  }
}

/** YaRN (Peng et al. 2023); entries that are missing have the defaults of transformers, which are llama.cpp's. */
function yarnScaling(metadata: GgufMetadataReader, factor: number): Record<string, unknown> {
  const optional = Object.entries({
    beta_fast: metadata.decimal("rope.scaling.yarn_beta_fast"),
    beta_slow: metadata.decimal("rope.scaling.yarn_beta_slow"),
    attention_factor: metadata.decimal("rope.scaling.yarn_attn_factor"),
    mscale_all_dim: metadata.decimal("rope.scaling.yarn_log_multiplier"),
  }).filter(([, value]) => value !== undefined && value !== 0);
  return {
    rope_type: "yarn",
    factor,
    original_max_position_embeddings: metadata.count("rope.scaling.original_context_length"),
    ...Object.fromEntries(optional),
    // llama.cpp has the other multiplier as 1 where it has this one.
    ...(optional.some(([key]) => key === "mscale_all_dim") ? { mscale: 1 } : {}),
  };
}

/** LongRoPE, with the factor on cosines and sines that the converter computed. */
function longScaling(
  metadata: GgufMetadataReader,
  rotated: number,
  short: Float32Array | undefined,
  long: Float32Array | undefined,
): Record<string, unknown> {
  if (short?.length !== rotated / 2 || long?.length !== rotated / 2) {
    const found = [short, long].map((factors) => factors?.length ?? "none").join(" and ");
    throw new InputError(
      `${metadata.file}: ${factorTensors.short} and ${factorTensors.long} have ${found} numbers; expected ${rotated / 2}. Convert the model again.`,
    );
  }
  const attention = metadata.decimal("rope.scaling.attn_factor");
  return {
    rope_type: "longrope",
    short_factor: Array.from(short, tidyFloat),
    long_factor: Array.from(long, tidyFloat),
    original_max_position_embeddings: metadata.count("rope.scaling.original_context_length"),
    ...(attention === undefined ? {} : { attention_factor: attention }),
  };
}

/**
 * The four numbers of Llama 3's scaling, found again from the divisors that the converter made of them:
 *
 *   divisor = 1 for wavelengths λ < L/high,  f for λ > L/low,  else 1 / ((1−s)/f + s),  s = (L/λ − low) / (high − low)
 *
 * The converter writes no parameters, and every Llama 3 model has low 1, high 4, L 8192; f is the largest divisor. They are
 * taken only if they give the stored divisors back.    transformers: modeling_rope_utils.py, _compute_llama3_parameters
 */
function llama3Scaling(metadata: GgufMetadataReader, headSize: number, factors: Float32Array): Record<string, unknown> {
  const theta = metadata.decimal("rope.freq_base", 10_000);
  const [low, high, original] = [1, 4, 8192];
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
      `${metadata.file}: the rotary factors in ${factorTensors.all} are not those of Llama 3 scaling. Use the model's safetensors folder instead.`,
    );
  }
  return { rope_type: "llama3", factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original };
}
