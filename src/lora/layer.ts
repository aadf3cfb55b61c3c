import type { LinearGroup, LinearLayer } from "../models/architecture.js";

/**
 * A linear layer of a model, y = x·Wᵀ, W [outputs, inputs], and the layers that read one input, as a model lists them. A model lists the
 * layers inside its blocks; the output embedding is not among them, as it is not in PEFT's `all-linear`.
 */
export type { LinearGroup, LinearLayer };

/** A linear layer with a LoRA beside it: y = x·Wᵀ + scale · x·Aᵀ·Bᵀ, A [rank, inputs], B [outputs, rank]. */
export interface AdaptedLayer extends LinearLayer {
  readonly rank: number;
  /** α/r, or α/√r for rsLoRA. */
  readonly scale: number;
}

/** A layer's LoRA with its values. */
export interface AdapterLayer extends AdaptedLayer {
  readonly a: Float32Array; // [rank, inputs]
  readonly b: Float32Array; // [outputs, rank]
  /** What a variant stores beside A and B, by PEFT's names behind the layer's. */
  readonly vectors?: ReadonlyMap<string, Float32Array>;
  /** `inputs` are those of the adapter's widest layer: its file does not say how many of A's columns are this layer's. */
  readonly isWidest?: true;
}
