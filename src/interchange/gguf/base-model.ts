import { InputError } from "../../errors.js";
import type { ModelGraph } from "../../models/architecture.js";
import type { Conversion, GgufArchitecture } from "../../weights/gguf-architectures/architecture.js";
import { ggufArchitectures } from "../../weights/gguf-architectures/index.js";
import { GgufMetadataReader } from "../../weights/gguf-architectures/parts/metadata-reader.js";
import { ggufName, huggingFaceName } from "../../weights/gguf-architectures/parts/tensor-names.js";

/** What is asked of the model below an adapter. */
export type BaseModel = Pick<ModelGraph, "modelType" | "dimensions" | "linearGroups" | "head">;

/** Where a model of several parts has its decoder, whose GGUF is a model of its own. */
const NESTED = "model.language_model.";
const PLAIN = "model.";

/** How llama.cpp names the layers of a model, and orders their rows. */
export interface GgufLayers {
  readonly architecture: GgufArchitecture;
  /** GGUF's name of a tensor of the checkpoint; undefined where it has none. */
  tensorName(name: string): string | undefined;
  /** What llama.cpp's converter does to the values of a tensor of the checkpoint. */
  conversion(name: string): Conversion;
  /** GGUF's name of a layer's weight, `blk.0.attn_q.weight`; undefined where it has none. */
  nameOf(layer: string): string | undefined;
  /** The layer whose weight has a name in GGUF. */
  layerOf(name: string): string | undefined;
  /** Heads whose output rows GGUF interleaves, in a layer where it does so. */
  interleavedHeads(layer: string): number | undefined;
}

/** @throws InputError where llama.cpp's form of the architecture is not known, naming those that are. */
export function ggufLayers({ modelType, dimensions }: BaseModel): GgufLayers {
  const architecture = ggufArchitectures.find(({ modelTypes }) => modelTypes.includes(modelType));
  if (architecture === undefined) {
    const known = ggufArchitectures.flatMap(({ modelTypes }) => modelTypes).join(", ");
    throw new InputError(`A model of architecture ${modelType} has no GGUF form here. Those of ${known} have.`);
  }
  const { names, name } = architecture;
  const heads = { [`${name}.attention.head_count`]: dimensions.heads, [`${name}.attention.head_count_kv`]: dimensions.kvHeads };
  const reader = new GgufMetadataReader("the model", name, heads);
  const isNested = modelType === "gemma3";
  const plain = (layer: string) => (isNested && layer.startsWith(NESTED) ? PLAIN + layer.slice(NESTED.length) : layer);
  const nested = (layer: string) => (isNested && layer.startsWith(PLAIN) ? NESTED + layer.slice(PLAIN.length) : layer);
  const tensorName = (tensor: string) => ggufName(names, plain(tensor));
  const conversion = (tensor: string) => architecture.conversion?.(plain(tensor), reader) ?? {};
  return {
    architecture,
    tensorName,
    conversion,
    nameOf: (layer) => tensorName(`${layer}.weight`),
    layerOf: (tensor) => {
      const found = layerIn(architecture, tensor);
      return found === undefined ? undefined : nested(found);
    },
    interleavedHeads: (layer) => conversion(`${layer}.weight`).interleavedHeads,
  };
}

/** Hugging Face's name of the layer whose weight has a name in GGUF. */
export function layerIn({ names }: GgufArchitecture, tensor: string): string | undefined {
  return huggingFaceName(names, tensor)?.replace(/\.weight$/, "");
}
