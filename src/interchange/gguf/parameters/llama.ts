import { ConfigReader } from "../../../models/config-reader.js";
import { readRotary, rotaryShare } from "../../../models/parts/rotary-tables.js";
import { readPhiRotary } from "../../../models/phi3.js";
import { rotaryDefaults, turnedBlocks } from "../../../models/smollm3.js";
import {
  biasesBeyondQkv,
  type GgufParameters,
  groupedHeads,
  type ParameterSource,
  problemWhere,
  sizes,
  sizesWithinWindow,
  together,
  uint32,
} from "./parameters.js";
import { rotaryParameters } from "./rotary.js";

// Llama and what is built like it.                       llama.cpp: conversion/llama.py, qwen.py, smollm.py, phi.py

/** Llama and Mistral. */
export function llama(source: ParameterSource): GgufParameters {
  const rotary = readRotary(source.config);
  const size = source.model.dimensions.headSize;
  return together(sizesWithinWindow(source), groupedHeads(source), rotaryParameters({ rotary, size, knows: "llama3" }));
}

/** Qwen 2 and 3. */
export function qwen(source: ParameterSource): GgufParameters {
  const rotary = readRotary(source.config);
  const size = source.model.dimensions.headSize;
  return together(sizesWithinWindow(source), groupedHeads(source), rotaryParameters({ rotary, size }), biasesBeyondQkv(source));
}

export function smollm3(source: ParameterSource): GgufParameters {
  const { blocks, headSize } = source.model.dimensions;
  const rotary = readRotary(source.config, rotaryDefaults);
  const isUsual = turnedBlocks(new ConfigReader(source.config), blocks).every((turns, block) => turns === ((block + 1) % 4 !== 0));
  return together(
    sizesWithinWindow(source),
    groupedHeads(source),
    rotaryParameters({ rotary, size: headSize }),
    biasesBeyondQkv(source),
    problemWhere(
      !isUsual,
      "its blocks without rotary embedding are not every fourth (`no_rope_layers`), which llama.cpp takes for granted",
    ),
  );
}

/** Phi-3 and 4. llama.cpp reads the window, warns, and does without; so do others who run these models there. */
export function phi3(source: ParameterSource): GgufParameters {
  const { headSize, hidden, heads, maxPositions } = source.model.dimensions;
  const size = Math.floor(headSize * rotaryShare(source.config));
  const rotary = readPhiRotary(source.config, size);
  const [window] = source.model.windows ?? [];
  const original = new ConfigReader(source.config).count("original_max_position_embeddings", 4096);
  return together(
    sizes(source),
    groupedHeads(source, 1e-5),
    rotaryParameters({ rotary, size, knows: "longrope" }),
    // LongRoPE's has its own entry; reading asks for one in any case.
    rotary.scaling.kind === "longrope" ? {} : { entries: [["rope.scaling.original_context_length", uint32(original)]] },
    { entries: [["attention.sliding_window", uint32(window ?? 0)]] },
    window === undefined || window >= maxPositions
      ? {}
      : { notes: [`llama.cpp does without the sliding window of Phi-3: beyond ${window} tokens its answers are others.`] },
    problemWhere(headSize * heads !== hidden, `its heads have ${headSize} values, where llama.cpp takes ${hidden} / ${heads}`),
    problemWhere(
      rotary.scaling.kind === "linear" || rotary.scaling.kind === "yarn",
      `its rotary embedding is stretched by ${rotary.scaling.kind}, which llama.cpp does not know for this architecture`,
    ),
  );
}
