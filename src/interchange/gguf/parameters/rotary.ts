import { llama3Frequency } from "../../../models/parts/rotary-scaling.js";
import type { Rotary, RotaryScaling } from "../../../models/parts/rotary-tables.js";
import type { GgufTensor } from "../header.js";
import { float32, type GgufParameters, uint32 } from "./parameters.js";

/** How a model's heads turn. */
interface Turning {
  readonly rotary: Rotary;
  /** Values of a head that turn. */
  readonly size: number;
  /** Ways of stretching that llama.cpp knows for the architecture, beside "none", "linear" and "yarn", which it knows for all. */
  readonly knows?: RotaryScaling["kind"];
}

/** The rotary embedding: base of the frequencies, and how they are stretched.          llama.cpp: conversion/base.py, conversion/llama.py */
export function rotaryParameters({ rotary: { theta, scaling }, size, knows }: Turning): Partial<GgufParameters> {
  const { entries = [], tensors = [], problems = [] } = stretching(theta, scaling, size);
  const unknown = scaling.kind === "llama3" || scaling.kind === "longrope" ? scaling.kind !== knows : false;
  return {
    entries: [["rope.dimension_count", uint32(size)], ["rope.freq_base", float32(theta)], ...entries],
    tensors,
    problems: unknown
      ? [`its rotary embedding is stretched by ${scaling.kind}, which llama.cpp does not know for this architecture`]
      : problems,
  };
}

function stretching(theta: number, scaling: RotaryScaling, size: number): Partial<GgufParameters> {
  switch (scaling.kind) {
    case "none":
      return {};
    case "linear":
      return { entries: [type("linear"), ["rope.scaling.factor", float32(scaling.factor)]] };
    case "llama3": {
      const frequencies = Array.from({ length: size / 2 }, (_, pair) => 1 / theta ** ((2 * pair) / size));
      return {
        tensors: [
          factors(
            "rope_freqs.weight",
            frequencies.map((frequency) => frequency / llama3Frequency(frequency, scaling)),
          ),
        ],
      };
    }
    case "yarn":
      return yarn(scaling);
    case "longrope":
      return {
        entries: [
          ["rope.scaling.original_context_length", uint32(scaling.original)],
          ["rope.scaling.attn_factor", float32(scaling.magnitude)],
        ],
        tensors: [factors("rope_factors_long.weight", scaling.long), factors("rope_factors_short.weight", scaling.short)],
      };
  }
}

const type = (value: string) => ["rope.scaling.type", { type: "string", value }] as const;

function factors(name: string, values: readonly number[]): GgufTensor {
  return { name, type: "F32", shape: [values.length], data: () => [Float32Array.from(values)] };
}

/** llama.cpp blends between whole pairs, and multiplies by Peng et al.'s factor (2023, eq. 22) alone. */
function yarn({ factor, original, fast, slow, truncate, magnitude }: Extract<RotaryScaling, { kind: "yarn" }>): Partial<GgufParameters> {
  const usual = factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1;
  const problems = [
    ...(truncate ? [] : ["its YaRN does not truncate (`truncate` is false)"]),
    ...(Math.abs(magnitude - usual) > 1e-6
      ? [`its YaRN multiplies queries and keys by ${magnitude}, where llama.cpp's factor is ${usual}`]
      : []),
  ];
  const entries = [
    type("yarn"),
    ["rope.scaling.factor", float32(factor)],
    ["rope.scaling.original_context_length", uint32(original)],
    ["rope.scaling.yarn_beta_fast", float32(fast)],
    ["rope.scaling.yarn_beta_slow", float32(slow)],
  ] as const;
  return { entries, problems };
}
