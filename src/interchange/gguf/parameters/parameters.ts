import type { LanguageModelGraph } from "../../../models/architecture.js";
import { ConfigReader } from "../../../models/config-reader.js";
import type { GgufEntry, GgufTensor, GgufValue } from "../header.js";

/** A model whose configuration is written as GGUF's metadata. */
export interface ParameterSource {
  readonly model: LanguageModelGraph;
  /** Its `config.json`; of a model of several parts that of its decoder. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** What llama.cpp is told of a model's arithmetic. */
export interface GgufParameters {
  /** Keys without the architecture's name in front. */
  readonly entries: readonly GgufEntry[];
  /** Parts of the configuration that GGUF stores as tensors. */
  readonly tensors: readonly GgufTensor[];
  /** Why GGUF cannot express the model. */
  readonly problems: readonly string[];
  /** What a person should know. */
  readonly notes: readonly string[];
}

export const uint32 = (value: number): GgufValue => ({ type: "uint32", value });
export const float32 = (value: number): GgufValue => ({ type: "float32", value });

/** Several sets of parameters as one. */
export function together(...parts: readonly Partial<GgufParameters>[]): GgufParameters {
  const all = <T>(pick: (part: Partial<GgufParameters>) => readonly T[] | undefined) => parts.flatMap((part) => pick(part) ?? []);
  return {
    entries: all(({ entries }) => entries),
    tensors: all(({ tensors }) => tensors),
    problems: all(({ problems }) => problems),
    notes: all(({ notes }) => notes),
  };
}

/** A problem where something is so. */
export const problemWhere = (isSo: boolean, problem: string): Partial<GgufParameters> => (isSo ? { problems: [problem] } : {});

/** Columns of the last matrix of a block's feed-forward. */
function feedForwardOf({ linearGroups }: LanguageModelGraph): number {
  const down = linearGroups.flat().find(({ name }) => /\.mlp\.(down|c)_proj$/.test(name));
  if (down === undefined) throw new RangeError("a decoder without a feed-forward layer");
  return down.inputs;
}

/** The sizes of any decoder. */
export function sizes({ model }: ParameterSource, contextLength = model.dimensions.maxPositions): Partial<GgufParameters> {
  const { blocks, hidden, heads, vocabulary } = model.dimensions;
  return {
    entries: [
      ["block_count", uint32(blocks)],
      ["context_length", uint32(contextLength)],
      ["embedding_length", uint32(hidden)],
      ["feed_forward_length", uint32(feedForwardOf(model))],
      ["attention.head_count", uint32(heads)],
      ["vocab_size", uint32(vocabulary)],
    ],
  };
}

/** What decoders of Llama's build have beside their sizes. */
export function groupedHeads({ model, config }: ParameterSource, epsilon = 1e-6): Partial<GgufParameters> {
  const { kvHeads, headSize } = model.dimensions;
  return {
    entries: [
      ["attention.head_count_kv", uint32(kvHeads)],
      ["attention.layer_norm_rms_epsilon", float32(new ConfigReader(config).positive("rms_norm_eps", epsilon))],
      ["attention.key_length", uint32(headSize)],
      ["attention.value_length", uint32(headSize)],
    ],
  };
}

/**
 * The sizes of a model whose windows llama.cpp does not know for its architecture. Up to the length of the window a window shows all
 * there is, and so the file is for texts of that length.
 */
export function sizesWithinWindow(source: ParameterSource): Partial<GgufParameters> {
  const { dimensions, windows = [] } = source.model;
  const window = windows.reduce<number>((least, each) => Math.min(least, each ?? least), dimensions.maxPositions);
  if (window >= dimensions.maxPositions) return sizes(source);
  return {
    ...sizes(source, window),
    notes: [
      `llama.cpp has no sliding window for a model of type ${source.model.modelType}: the file is for texts of up to ${window} tokens, where the window shows all there is.`,
    ],
  };
}

/** Biases beyond those of q, k and v, for an architecture where llama.cpp has no others. */
export function biasesBeyondQkv({ model: { weights } }: ParameterSource): Partial<GgufParameters> {
  const some = [...weights.keys()].filter((name) => /\.(o_proj|gate_proj|up_proj|down_proj)\.bias$/.test(name));
  return problemWhere(some.length > 0, `llama.cpp has no place for the biases of ${some.slice(0, 2).join(", ")}`);
}
