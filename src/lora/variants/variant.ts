import type { Random } from "../../data/random.js";
import type { Tensor } from "../../graph/graph.js";
import type { BesideVocabulary } from "../../ops/vocabulary-loss.js";
import type { AdaptedLayer, AdapterLayer } from "../layer.js";

/** How A starts: `gaussian` N(0, 1/r²), or `peft`, PEFT's default, uniform in ±1/√inputs. */
export type Initialisation = "gaussian" | "peft";

/** A tensor that a variant puts beside a layer. */
export interface VariantParameter {
  /** Behind the layer's name, as PEFT writes it: `lora_A.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Whether training changes it; the rest of a start is fed beside the vector of trainables. */
  readonly isTrained: boolean;
  /**
   * Where it is a P [R, in] of a product x·Pᵀ, which layers that read one input have in common: whether x is the layer's input or what
   * dropout leaves of it.
   */
  readonly multiplies?: "input" | "dropped";
  /** Frozen and the same for all layers in which it has this shape; it is placed once. */
  readonly isShared?: true;
  /** The side of the layer that it is at; LoRA+ gives the output's side a learning rate of its own. */
  readonly side: "input" | "output";
}

/** Values by the names of parameters. */
export type ParameterValues = ReadonlyMap<string, Float32Array>;

/** Numbers that some variants have beside rank, alpha and start; each reads its own, and has a default for it. */
export interface VariantSettings {
  /** EVA: how many times its rank a layer may get, from 1 on. */
  readonly rho?: number | undefined;
  /** LoftQ: how often W is rounded, each time but the first without what the adapter holds, from 1 on. */
  readonly loftqRounds?: number | undefined;
  /** VeRA: what its random matrices are drawn from. */
  readonly seed?: number | undefined;
  /** AdaLoRA: what is pruned, when. */
  readonly budget?: RankBudget | undefined;
  /** AdaLoRA: of each layer's triplets, by its name, those that are left; undefined where all are. */
  readonly masks?: Readonly<Record<string, readonly boolean[]>> | undefined;
}

/** How AdaLoRA comes from the first rank of all layers to fewer. */
export interface RankBudget {
  /** Mean rank of the layers at the end. */
  readonly targetRank: number;
  /** Weight of the penalty that keeps A and B orthogonal. */
  readonly orthogonality: number;
  /** Updates: before pruning begins, after it has ended, between two prunings, and of the whole run. */
  readonly steps: { readonly initial: number; readonly final: number; readonly every: number; readonly total: number };
}

/** The layers whose updates a variant shapes. */
export interface ShapedLayers {
  readonly layers: readonly AdaptedLayer[];
  /** The values of a layer's parameter in a vector of the layout of the trainables; writing to them writes to it. */
  view(vector: Float32Array, layer: AdaptedLayer, parameter: string): Float32Array;
}

/** What a variant does at each update beside the optimizer. */
export interface UpdateShaping {
  /** Names of vectors, as long as the trainables, that it keeps; zero at first. */
  readonly state: readonly string[];
  /** The update from which on the trainables have the form that was asked for: no earlier ones are kept as the best. */
  readonly settledFrom?: number;
  /** Adds the gradient of a penalty to that of the mean loss, and returns the penalty. */
  penalise(trainables: Float32Array, gradient: Float32Array): number;
  /** What happens to the trainables behind an update, whose number counts from 1, that took this gradient. */
  settle(trainables: Float32Array, gradient: Float32Array, step: number, vectorOf: (name: string) => Float32Array): void;
}

/** Principal directions of what a layer reads, as a sample of the user's data showed them. */
export interface InputDirections {
  /** Unit vectors as rows, the one of the largest variance first. */
  readonly directions: Float32Array; // [count, inputs]
  /** Share of the whole variance along each. */
  readonly shares: Float64Array; // [count]
}

/** What a variant makes of the user's data before its layers are laid out. */
export interface DataStart {
  /** Directions that it asks for of what a layer reads. */
  count(layer: AdaptedLayer, settings: VariantSettings): number;
  /**
   * The rank of each layer by its name, 0 where it gets no adapter after all; its alpha follows its rank.
   *
   * @param groups the layers, those that read one input together
   */
  ranks(groups: readonly (readonly AdaptedLayer[])[], of: (layer: AdaptedLayer) => InputDirections): ReadonlyMap<string, number>;
}

/** What a variant starts from. */
export interface Start {
  readonly initialisation: Initialisation;
  /** Of an approximate singular value decomposition; 0 for the exact one. */
  readonly rounds: number;
  readonly settings: VariantSettings;
  /** All layers of the adapter. */
  readonly layers: readonly AdaptedLayer[];
  /** What all layers have in common, made for the first of them. */
  common<T>(make: () => T): T;
  /** The random stream of a parameter: it depends on the seed and on the parameter's whole name. */
  random(parameter: string): Random;
  /** The W [outputs, inputs] of the checkpoint. */
  weight(): Promise<Float32Array>;
  /** What stands frozen in its place: the same, but for a variant with a `base`. */
  base(): Promise<Float32Array>;
  /** The values of a matrix [outputs, inputs] after they were rounded as the run rounds weights; rounding them again changes nothing. */
  rounded(matrix: Float32Array): Float32Array;
  /** What the layer reads in the user's data, for a variant with a `dataStart`. */
  inputs(): InputDirections;
}

/** A layer's rows, as a variant's forward pass sees them. Of a table of embeddings what is read are the tokens' ids. */
export interface LayerRows {
  /** What the layer reads, [N, in]. */
  readonly input: Tensor;
  /** What dropout leaves of it in training; else the same tensor. */
  readonly dropped: Tensor;
  /** Any rows [M, in] through the frozen W, without the bias: [M, out]. */
  product(rows: Tensor): Tensor;
  /** y [N, out] and the bias that the checkpoint has beside W, if any. */
  addBias(y: Tensor): Tensor;
  /** A parameter; of one that multiplies the input, values through which nothing is trained. */
  parameter(name: string): Tensor;
  /** x·Pᵀ [N, R] of a parameter that multiplies the input. */
  multiplied(name: string): Tensor;
}

/**
 * A layer as answers need it, y = gain ⊙ x·Wᵀ + bias of W + scale · x·Aᵀ·Bᵀ + offset, and as merging does, W' = gain ⊙ W + scale · B·A and
 * the offset added to the bias. Gain and offset are one number for each output.
 */
export interface InferenceForm {
  readonly rank: number;
  readonly scale: number;
  readonly a: Float32Array; // [rank, inputs]
  readonly b: Float32Array; // [outputs, rank]
  readonly gain?: Float32Array | undefined; // [outputs]
  readonly offset?: Float32Array | undefined; // [outputs]
}

/** A tensor with its values. */
export interface ShapedValues {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Fields of a PEFT configuration. */
export type PeftFields = Readonly<Record<string, unknown>>;

/** How PEFT stores an adapter that is not its plain LoRA. Tensors are named as PEFT names them behind the layer or, shared, the model. */
export interface AdapterFile {
  /** Its configuration out of that of a plain LoRA. */
  config(fields: PeftFields, adapter: { readonly rank: number; readonly dropout: number; readonly settings: VariantSettings }): PeftFields;
  /** The fields of a plain LoRA out of its configuration. */
  plainFields(fields: PeftFields): PeftFields;
  settings(fields: PeftFields): VariantSettings;
  /** Names of a layer's tensors, and of those that all layers share. */
  readonly parameters: readonly string[];
  readonly shared: readonly string[];
  tensors(layer: AdapterLayer, settings: VariantSettings): ReadonlyMap<string, ShapedValues>;
  sharedTensors(layers: readonly AdapterLayer[]): ReadonlyMap<string, ShapedValues>;
  /** A layer out of its tensors; a sentence on them where they do not fit. All of `parameters` are there. */
  layer(
    layer: Pick<AdapterLayer, "name" | "rank" | "scale">,
    tensors: ReadonlyMap<string, ShapedValues>,
    shared: ReadonlyMap<string, ShapedValues>,
  ): AdapterLayer | string;
}

/** A variant of LoRA: all that differs between one and another. */
export interface Variant {
  /** What it puts beside a layer, in the order of the layout. */
  parameters(layer: AdaptedLayer): readonly VariantParameter[];
  /** Values of all its parameters. */
  initialise(layer: AdaptedLayer, start: Start): Promise<ParameterValues> | ParameterValues;
  /** The adapted layer's output, [N, out], in training. */
  forward(layer: AdaptedLayer, rows: LayerRows): Tensor;
  /**
   * The same beside the head of a vocabulary, whose loss is fused with it: what is added to x·Wᵀ, as a product. Only a variant that has it
   * sits at the head and at the table of embeddings.
   */
  lowRank?(layer: AdaptedLayer, rows: LayerRows): BesideVocabulary;
  /** The layer as PEFT stores it after training. */
  stored(layer: AdaptedLayer, values: ParameterValues): AdapterLayer;
  /** Names of the vectors [outputs] that a stored layer has beside A and B, and that are no part of s·B·A. */
  readonly vectors: readonly string[];
  /** s·B·A of a stored layer whose `a` and `b` are not it alone. */
  change?(layer: AdapterLayer): Pick<AdapterLayer, "rank" | "scale" | "a" | "b">;
  /** Of a variant whose updates are more than the optimizer's. */
  shaping?(layers: ShapedLayers, settings: VariantSettings): UpdateShaping;
  /** Its run must know how many updates it takes. */
  readonly needsLength?: true;
  /** What training has found out, for the configuration. */
  found?(layers: readonly AdapterLayer[]): VariantSettings;
  /** How PEFT's file holds it, where that is not as an A and a B for each layer. */
  readonly file?: AdapterFile;
  /** How many times the rank, and so the alpha, of a stored layer is that of the layer in training. */
  readonly storedRanks: number;
  /** What a stored layer computes; W [outputs, inputs] is read where the variant needs it. */
  inference(layer: AdapterLayer, weight: () => Promise<Float32Array>): Promise<InferenceForm> | InferenceForm;
  /** Options of a run, by their names, that belong to it (and to others that say so). */
  readonly options?: readonly string[];
  /** Options of a run, by their names, that mean nothing to it. */
  readonly foreign?: readonly string[];
  /** The only form of frozen weights that it is for, as `--precision` calls it. */
  readonly precision?: string;
  /** Of a variant that wants other frozen weights than the checkpoint's: what stands in place of W. */
  base?(layer: AdaptedLayer, start: Start): Promise<Float32Array>;
  /** Of a variant that starts from the user's data. */
  readonly dataStart?: DataStart;
  /** Fields that PEFT's configuration has of it beside those of a plain LoRA, though its files are one's. */
  trace?(settings: VariantSettings): Readonly<Record<string, unknown>>;
  /** Set where that form has a gain: the layer's change then depends on W, and is of no low rank. */
  readonly hasGain?: true;
  /** Set where it has an offset: merged, the layer needs a bias to take it. */
  readonly hasOffset?: true;
  /** The fields of PEFT's configuration that tell its files from those of a plain LoRA. */
  readonly peftFields: Readonly<Record<string, unknown>>;
}
