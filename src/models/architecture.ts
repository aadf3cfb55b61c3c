import type { Graph, Tensor } from "../graph/graph.js";

/** A linear layer by its module name in the checkpoint (`model.layers.0.self_attn.q_proj`), W [out, in]. */
export interface LinearLayer {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  /** Its output becomes attention scores: their exponentials amplify what rounding does to it. */
  readonly makesScores?: boolean;
  /** y = x·Wᵀ + b: the checkpoint has a `bias` [out] beside the `weight`. */
  readonly hasBias?: boolean;
  /** No layer but the table of the tokens' embeddings, W [V, C], of which rows are read: outputs V, inputs C. */
  readonly isTable?: boolean;
  /** transformers' Conv1D: its checkpoints have W as [in, out], which reading turns to [out, in]. */
  readonly isConv1D?: boolean;
}

/** Layers that read the same input; they share its stacked adapters and, later, its quantised form. */
export type LinearGroup = readonly LinearLayer[];

/** How one block attends. */
export interface AttentionUse {
  readonly block: number;
  /** Factor on the scores, 1/√D by default. */
  readonly scale?: number | undefined;
  /** A token sees itself and the window − 1 tokens before it (Beltagy et al. 2020, section 3.1); all of them by default. */
  readonly window?: number | undefined;
  /** Scores s become cap·tanh(s/cap) (Gemma 2, Gemma Team 2024, section 2). */
  readonly softCap?: number | undefined;
}

/**
 * What a model is handed. Training, prefill, decode and merged models pass different ones, so that no model knows of
 * adapters, caches or precisions.
 */
export interface ModelContext {
  readonly graph: Graph;
  /** Token ids, int64 [B·T]. */
  readonly ids: Tensor;
  /** The text of a pair that each token belongs to, int64 [B·T], 0 or 1; there for a model that reads them. */
  readonly tokenTypes?: Tensor | undefined;
  /** Positions for rotary embeddings, int64 [B, T]. */
  readonly positions: Tensor;
  /** The largest position plus one that the program will be fed. */
  readonly maxPositions: number;
  /** A weight that is not a linear layer's: a norm's gain, a table of positions. */
  weight(name: string, shape: readonly number[]): Tensor;
  /** The rows of the tokens in their table of embeddings, [N, C]. */
  embed(table: string, shape: readonly number[]): Tensor;
  /** x [N, in] through all layers of a group: one tensor [N, out] for each. */
  linear<const G extends LinearGroup>(x: Tensor, group: G): { readonly [K in keyof G]: Tensor };
  /** q [B, T, H·D], k and v [B, T, K·D] of one block → [B, T, H·D]. */
  attend(q: Tensor, k: Tensor, v: Tensor, use: AttentionUse): Tensor;
}

/** A tensor of a classification head. It is trained whole, where an adapter beside the frozen layers is not. */
export interface HeadParameter {
  /** As in a checkpoint of the task: `classifier.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  /** A fresh one is drawn from a normal distribution of this standard deviation; 0 for zeros. */
  readonly deviation: number;
}

/** What a head is handed; see `ModelContext`. */
export interface HeadContext extends Pick<ModelContext, "weight" | "linear"> {
  /** One of the head's own parameters. */
  parameter(name: string): Tensor;
}

/** What turns a model's hidden states into scores of labels, as transformers builds it for the architecture. */
export interface ClassificationHead {
  /**
   * What the head reads: the hidden state of an example's first token, of its last, the mean over its tokens, or the state of each
   * token that has a label.
   */
  readonly reads: "first" | "last" | "mean" | "each";
  /** Modules of the checkpoint that the parameters are in: PEFT's `modules_to_save` for the task. */
  readonly modules: readonly string[];
  readonly parameters: readonly HeadParameter[];
  /** Frozen weights of the checkpoint that the head reads beside those of the model. */
  readonly weights: ReadonlyMap<string, readonly number[]>;
  /** Frozen linear layers of the head that an adapter may sit at. */
  readonly linearGroups: readonly LinearGroup[];
  /** States [E, C] → a score of each label, before the softmax, [E, L]. */
  logits(x: Tensor, context: HeadContext): Tensor;
}

/** Whole texts, or single tokens, get labels. A regression is a sequence task of one label. */
export type ClassificationTask = "sequence" | "token";

/** Sizes that programs around a model need. */
export interface ModelDimensions {
  readonly vocabulary: number;
  readonly hidden: number;
  readonly blocks: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** The longest sequence that the model was made for. */
  readonly maxPositions: number;
  /** Texts of more tokens turn by other angles (LongRoPE), which have rows of their own in the rotary tables: see `positionOffset`. */
  readonly shortContext?: number | undefined;
}

/** How the checkpoints that people have differ from what a model asks for. */
export interface CheckpointForm {
  /** Beginnings of names: the model's own, and what some files have instead. A bare GPT-2 has "" for "transformer.". */
  readonly prefixes?: readonly (readonly [own: string, stored: string])[];
  /** Ends of names, likewise. */
  readonly endings?: readonly (readonly [own: string, stored: string])[];
  /** Names of tensors that are no weights: constants that older versions of transformers saved. */
  readonly constants?: RegExp;
}

/** One model of an architecture, its configuration read, up to its hidden states. */
export interface ModelGraph {
  readonly modelType: string;
  readonly dimensions: ModelDimensions;
  /** What a token sees of its own sequence: those before it, or those on both sides, as in an encoder. */
  readonly sight: "causal" | "both";
  /** Whether it tells the texts of a pair apart by a type of each token; by default not. */
  readonly readsTokenTypes?: boolean;
  /** Every weight of the checkpoint that the model reads, with its shape. */
  readonly weights: ReadonlyMap<string, readonly number[]>;
  readonly checkpointForm?: CheckpointForm;
  /** The weight [V, C] whose rows are the tokens' embeddings. */
  readonly embedding: string;
  /** Linear layers that an adapter may sit at, grouped by input, in the order of evaluation. */
  readonly linearGroups: readonly LinearGroup[];
  /** Layers of the checkpoint that are no part of the model, but that names of layers may mean in PEFT, such as those for images. */
  readonly otherLayers?: readonly Pick<LinearLayer, "name">[];
  /** Token ids → hidden states after the final norm, [B·T, C]. */
  hidden(context: ModelContext): Tensor;
  /** The weight of a language model's head; see `LanguageModelGraph`. */
  readonly head?: string | undefined;
  /** The head for a task of so many labels. */
  classificationHead(task: ClassificationTask, labels: number): ClassificationHead;
}

/** A model that predicts the next token. */
export interface LanguageModelGraph extends ModelGraph {
  readonly sight: "causal";
  /** The weight [V, C] that turns hidden states into logits; it may be the embedding table. */
  readonly head: string;
  /** How many tokens a block's token sees, itself the last of them; undefined for a block that sees all before it. Absent where all blocks do. */
  readonly windows?: readonly (number | undefined)[];
  /** Logits z become cap·tanh(z/cap) (Gemma 2, Gemma Team 2024, section 2). */
  readonly logitSoftCap?: number | undefined;
}

/** The weight of a language model's head by the name of its own place, which transformers and PEFT have for it where it is tied too. */
export const HEAD_WEIGHT = "lm_head.weight";

/** Whether a model predicts tokens, and so can write text; an encoder does not. */
export const isLanguageModel = (model: ModelGraph): model is LanguageModelGraph => model.head !== undefined;

/** An architecture: reads the `config.json` of a checkpoint. */
export interface Architecture {
  /** Values of `model_type` that this architecture serves. */
  readonly modelTypes: readonly string[];
  /** @throws InputError where the configuration lacks a field or asks for what is not supported. */
  read(config: Readonly<Record<string, unknown>>): ModelGraph;
}
