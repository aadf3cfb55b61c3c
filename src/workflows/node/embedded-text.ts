import type { LabelledTokens } from "../../data/lesson.js";
import { InputError } from "../../errors.js";
import { poolerOf } from "../../lora/bare-model.js";
import type { ModelGraph } from "../../models/architecture.js";
import { readModel } from "../../models/index.js";
import type { TextCodec } from "../../text/tokenizer.js";
import type { Embedding } from "../../training/embedding-program.js";
import { embeddingPairs, type Pooling } from "../../training/objectives/embedding-pairs.js";
import type { Objective } from "../../training/objectives/objective.js";
import { type DescribedModel, type DescribedWeights, describeWeights, type OpenOptions, withText } from "./open-model.js";
import { readSentenceFiles } from "./sentence-files.js";

/** A model that turns texts into vectors, and how its folder says that it does. */
export interface DescribedEmbedding {
  /** Its `maxPositions` are those that the folder allows. */
  readonly described: DescribedModel<ModelGraph>;
  readonly embedding: Embedding;
}

/** Reads all of a model that embeds but its weights. */
export async function describeEmbedding(name: string, options: OpenOptions): Promise<DescribedEmbedding> {
  const { described, embedding } = await describeEmbeddingWeights(name, options);
  return { described: await withText(described), embedding };
}

async function describeEmbeddingWeights(
  name: string,
  options: OpenOptions,
): Promise<Pick<DescribedEmbedding, "embedding"> & { readonly described: DescribedWeights<ModelGraph> }> {
  const described = await describeWeights(embeddingModel, name, options);
  if (described.ggufMetadata !== undefined) throw new InputError(`${name}: sentences are embedded by models in a folder, not by a GGUF.`);
  const { maxLength, ...embedding } = await readSentenceFiles(described.path);
  const { model } = described;
  const maxPositions = Math.min(maxLength ?? model.dimensions.maxPositions, model.dimensions.maxPositions);
  return { described: { ...described, model: { ...model, dimensions: { ...model.dimensions, maxPositions } } }, embedding };
}

/** The same with what training with pairs makes of it. */
export async function describeEmbeddingTask(
  name: string,
  options: OpenOptions,
): Promise<DescribedModel<ModelGraph> & { readonly objective: Objective }> {
  const { objective, ...described } = await describeEmbeddingTaskWeights(name, options);
  return { ...(await withText(described)), objective };
}

/** The same where no text is read. */
export async function describeEmbeddingTaskWeights(
  name: string,
  options: OpenOptions,
): Promise<DescribedWeights<ModelGraph> & { readonly objective: Objective }> {
  const { described, embedding } = await describeEmbeddingWeights(name, options);
  return { ...described, objective: embeddingPairs(embedding.pooling) };
}

/** A model up to its hidden states: of a language model the vocabulary's head is not read. */
function embeddingModel(config: Readonly<Record<string, unknown>>): ModelGraph {
  const model = readModel(config);
  return { ...model, head: undefined, otherLayers: [...(model.otherLayers ?? []), ...poolerOf(model)] };
}

export interface EncodedText extends LabelledTokens {
  readonly cut: boolean;
}

/** A text as the model reads it; its one place is the token that pooling reads. */
export function encodedText(codec: TextCodec, text: string, pooling: Pooling, maxLength: number): EncodedText {
  const { ids, cut } = codec.encodeInput(text, undefined, { maxLength });
  if (ids.length === 0) throw new InputError(`${JSON.stringify(text.slice(0, 40))}: the model's tokenizer makes no token of it.`);
  return {
    ids: Int32Array.from(ids),
    places: Int32Array.of(pooling === "last" ? ids.length - 1 : 0),
    targets: Int32Array.of(0),
    weights: Float32Array.of(1),
    cut: cut > 0,
  };
}
