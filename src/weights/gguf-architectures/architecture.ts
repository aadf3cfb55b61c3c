import type { StoredTensor } from "../checkpoint.js";
import type { GgufMetadataReader } from "./parts/metadata-reader.js";
import type { RenamedGguf } from "./parts/renamed-gguf.js";
import type { TensorNames } from "./parts/tensor-names.js";

/** What llama.cpp's converter did to the values of a tensor, for reading to undo. */
export type Conversion = Partial<Pick<StoredTensor, "interleavedHeads" | "addend">>;

/** One architecture of llama.cpp: how its converter changed a Hugging Face checkpoint, undone. */
export interface GgufArchitecture {
  /** The value of `general.architecture`. */
  readonly name: string;
  /** Models that have it, for messages. */
  readonly models: string;
  /** Values of `model_type` that the models have in Hugging Face's configuration. */
  readonly modelTypes: readonly string[];
  readonly names: TensorNames;
  /** By Hugging Face's name of the tensor; none by default. */
  conversion?(name: string, metadata: GgufMetadataReader): Conversion;
  /**
   * The `config.json` that Hugging Face's checkpoint of the same model has. Names are that file's.
   * Throws InputError where the metadata lack an entry or contradict the tensors.
   */
  config(model: RenamedGguf): Record<string, unknown>;
}
