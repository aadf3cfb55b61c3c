import { ConfigReader } from "../../../models/config-reader.js";
import { readRotaries } from "../../../models/gemma3.js";
import { readGeluKind } from "../../../models/parts/gelu-kind.js";
import { readRotary } from "../../../models/parts/rotary-tables.js";
import { float32, type GgufParameters, groupedHeads, type ParameterSource, problemWhere, sizes, together, uint32 } from "./parameters.js";
import { rotaryParameters } from "./rotary.js";

// Gemma 2 and 3.                                                                    llama.cpp: conversion/gemma.py

export function gemma2(source: ParameterSource): GgufParameters {
  const config = new ConfigReader(source.config);
  const caps = {
    attention: config.optionalPositive("attn_logit_softcapping", 50),
    final: config.optionalPositive("final_logit_softcapping", 30),
  };
  const rotary = readRotary(source.config);
  return together(
    sizes(source),
    groupedHeads(source),
    rotaryParameters({ rotary, size: source.model.dimensions.headSize }),
    {
      entries: [
        ["attn_logit_softcapping", float32(caps.attention ?? 0)],
        ["final_logit_softcapping", float32(caps.final ?? 0)],
      ],
    },
    window(source, 2),
    shared(source, 46),
    problemWhere(
      caps.attention === undefined || caps.final === undefined,
      "its scores or logits are not capped, which llama.cpp's Gemma 2 always does",
    ),
  );
}

export function gemma3(source: ParameterSource): GgufParameters {
  const { maxPositions, headSize } = source.model.dimensions;
  const { full, sliding } = readRotaries(source.config, maxPositions);
  return together(
    sizes(source),
    groupedHeads(source),
    rotaryParameters({ rotary: full, size: headSize }),
    { entries: [["rope.freq_base_swa", float32(sliding.theta)]] },
    window(source, 6),
    shared(source, 62),
    problemWhere(
      sliding.scaling.kind !== "none",
      "the rotary embedding of its blocks with a window is stretched, which llama.cpp does for the others alone",
    ),
    problemWhere(source.model.logitSoftCap !== undefined, "its logits are capped, which llama.cpp does not do for Gemma 3"),
  );
}

/** The window that all blocks but every so-manieth have. */
function window({ model: { windows = [], modelType } }: ParameterSource, period: number): Partial<GgufParameters> {
  const size = windows.find((each) => each !== undefined);
  if (size === undefined)
    return problemWhere(modelType === "gemma2", "none of its blocks has a sliding window, where llama.cpp gives one to every other");
  const isUsual = windows.every((each, block) => (each !== undefined) === ((block + 1) % period !== 0));
  return together(
    { entries: [["attention.sliding_window", uint32(size)]] },
    problemWhere(!isUsual, `its blocks without a sliding window are not each ${period}th, which llama.cpp takes for granted`),
  );
}

/** What GGUF does not say, and llama.cpp knows by the number of blocks. */
function shared({ model, config }: ParameterSource, blocksOf27B: number): Partial<GgufParameters> {
  const { headSize, heads, hidden, blocks } = model.dimensions;
  const reader = new ConfigReader(config);
  const squared = reader.positive("query_pre_attn_scalar", 256);
  const taken = blocks === blocksOf27B ? Math.floor(hidden / heads) : headSize;
  return together(
    problemWhere(
      squared !== taken,
      `its attention scores are divided by √${squared} (\`query_pre_attn_scalar\`), where llama.cpp takes √${taken}`,
    ),
    problemWhere(
      readGeluKind(reader, "hidden_activation", "gelu_pytorch_tanh") !== "tanh",
      "its GELU is the exact one, where llama.cpp has that of the tangent",
    ),
    problemWhere(reader.flag("attention_bias", false), "its attention has biases (`attention_bias`), which llama.cpp's Gemma lacks"),
  );
}
