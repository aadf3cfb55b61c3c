import { InputError } from "../errors.js";
import { splitColumns } from "../ops/split-columns.js";
import { swiglu } from "../ops/swiglu.js";
import type { Architecture, AttentionUse, ModelDimensions } from "./architecture.js";
import { ConfigReader } from "./config-reader.js";
import { preNormDecoder } from "./parts/decoder.js";
import { readDecoderConfig } from "./parts/decoder-config.js";
import { type Rotary, readPartialRotary, rotaryShare } from "./parts/rotary-tables.js";
import { type Rotation, rotation } from "./parts/rotation.js";
import { byRow, bySequence } from "./parts/rows.js";
import type { Sublayer } from "./parts/sublayer.js";

// Phi-3, Phi-3.5 and Phi-4 (Abdin et al. 2024): Llama's blocks with q, k and v in one layer, gate and up in another, and heads of which a
// part may turn. LongRoPE has factors for texts within the context of the pretraining and others for longer ones; as in transformers, the
// longest text of a batch decides for all of it.
export const phi3: Architecture = {
  modelTypes: ["phi3"],
  read: (json) => {
    const config = new ConfigReader(json);
    const decoder = readDecoderConfig(config, { maxPositions: 4096, epsilon: 1e-5 });
    const { dimensions, feedForward } = decoder;
    const size = Math.floor(dimensions.headSize * rotaryShare(json));
    if (size % 2 !== 0) throw new InputError(`config.json: ${size} values of a head turn; rotary embeddings turn pairs`);
    const rotary = readPhiRotary(json, size);
    const shortContext = rotary.scaling.kind === "longrope" ? Math.min(rotary.scaling.original, dimensions.maxPositions) : undefined;
    const rotate = rotation(rotary, dimensions.headSize, size);
    const window = config.optionalCount("sliding_window");
    const graph = preNormDecoder({ ...decoder, dimensions: { ...dimensions, shortContext } }, (block, name) => ({
      attention: fusedAttention(`${name}.self_attn`, dimensions, rotate, { block, window }),
      feedForward: fusedFeedForward(`${name}.mlp`, dimensions.hidden, feedForward),
    }));
    return { ...graph, windows: Array.from({ length: dimensions.blocks }, () => window) };
  },
};

/** LongRoPE had other names before; it is the only stretching that Phi-3 has. */
export function readPhiRotary(json: Readonly<Record<string, unknown>>, size: number): Rotary {
  const named = (field: string) => {
    const given = new ConfigReader(json).record(field);
    const kind = given?.rope_type ?? given?.type;
    return given === undefined ? {} : { [field]: kind === "su" || kind === "yarn" ? { ...given, rope_type: "longrope" } : given };
  };
  return readPartialRotary(
    { original_max_position_embeddings: 4096, ...json, ...named("rope_scaling"), ...named("rope_parameters") },
    { size },
  );
}

function fusedAttention(
  name: string,
  { hidden, heads, kvHeads, headSize }: ModelDimensions,
  rotate: Rotation,
  use: AttentionUse,
): Sublayer {
  const widths = [heads, kvHeads, kvHeads].map((count) => count * headSize);
  const [queries = 0, keys = 0, values = 0] = widths;
  const qkv = [{ name: `${name}.qkv_proj`, inputs: hidden, outputs: queries + keys + values, makesScores: true }] as const;
  const output = [{ name: `${name}.o_proj`, inputs: queries, outputs: hidden }] as const;
  return {
    linearGroups: [qkv, output],
    weights: [],
    apply: (x, context) => {
      const [joined] = context.linear(x, qkv); // [N, (H + 2K)·D]
      const [q = joined, k = joined, v = joined] = splitColumns(joined, widths);
      const mixed = context.attend(rotate(q, context), rotate(k, context), bySequence(v), use); // [B, T, H·D]
      const [attended] = context.linear(byRow(mixed), output); // [N, C]
      return attended;
    },
  };
}

function fusedFeedForward(name: string, hidden: number, feedForward: number): Sublayer {
  const gateUp = [{ name: `${name}.gate_up_proj`, inputs: hidden, outputs: 2 * feedForward }] as const;
  const down = [{ name: `${name}.down_proj`, inputs: feedForward, outputs: hidden }] as const;
  return {
    linearGroups: [gateUp, down],
    weights: [],
    apply: (x, context) => {
      const [joined] = context.linear(x, gateUp); // [N, 2F]
      const [gate = joined, up = joined] = splitColumns(joined, [feedForward, feedForward]); // [N, F]
      const [fed] = context.linear(swiglu(gate, up), down); // [N, C]
      return fed;
    },
  };
}
