import type { LanguageModelGraph, ModelGraph } from "../../models/architecture.js";
import type { TextCodec } from "../../text/tokenizer.js";
import type { Checkpoint } from "../../weights/checkpoint.js";
import type { Progress } from "../api.js";

/** What is known of a model before its weights are touched, its text left out. */
export interface DescribedWeights<Model extends ModelGraph = LanguageModelGraph> {
  /** As the user wrote it. */
  readonly name: string;
  readonly path: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly model: Model;
  /** Its weights by the model's names, and what else lies beside them. */
  readonly checkpoint: Checkpoint;
  /** Weights of the model, each counted once. */
  readonly parameters: number;
  /** The metadata of a GGUF; undefined for a folder. */
  readonly ggufMetadata: Readonly<Record<string, unknown>> | undefined;
}

/** The same with how it reads and writes text. */
export interface DescribedModel<Model extends ModelGraph = LanguageModelGraph> extends DescribedWeights<Model> {
  readonly codec: TextCodec;
}

export interface OpenOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** What a person should know, such as another source of the download. */
  readonly onNotice?: ((message: string) => void) | undefined;
}
