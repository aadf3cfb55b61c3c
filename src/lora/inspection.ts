import { InputError } from "../errors.js";
import type { Adapter, AdapterConfig } from "./adapter.js";
import { type Amplification, amplificationOf } from "./amplification.js";
import { type Decomposition, decompositionOf } from "./decomposition.js";
import { directionsOf } from "./directions.js";
import type { AdapterLayer, LinearLayer } from "./layer.js";
import { valuesIn } from "./peft-tensors.js";
import { type Similarity, similarityOf } from "./similarity.js";
import { variantOf } from "./variants/index.js";

/** What `inspect` shows of one layer. */
export interface LayerInspection extends Decomposition {
  readonly name: string;
  readonly rank: number;
  readonly scale: number;
  /** [outputs, inputs] of the layer it stands beside. */
  readonly shape: readonly [number, number];
  readonly parameters: number;
  /** Against the frozen weight, where the model is at hand. */
  readonly amplification?: Amplification;
  /** With the same layer of another adapter, where that changes it too. */
  readonly similarity?: Similarity;
}

/** What `inspect` shows of an adapter: plain JSON. */
export interface AdapterInspection {
  readonly baseModel: string | undefined;
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly rankStabilised: boolean;
  /** The scale of every layer, where all have the same. */
  readonly scale: number | undefined;
  readonly parameters: number;
  /** Frobenius norm of all changes together. */
  readonly norm: number;
  readonly layers: readonly LayerInspection[];
}

/** What an adapter may be compared with. */
export interface Inspecting {
  /** Awaited before each layer, which may take long, with the number of layers done; it ends the work by throwing. */
  readonly pause?: (done: number) => Promise<void>;
  /** The frozen W [outputs, inputs] of a layer. */
  readonly weightOf?: ((layer: LinearLayer) => Promise<Float32Array>) | undefined;
  readonly other?: Adapter | undefined;
}

/** Measures an adapter: sizes, scales, and how each layer's ΔW = s·BA is spread over its directions, alone and beside what it is compared with. */
export async function inspectAdapter({ config, layers }: Adapter, { pause, ...compared }: Inspecting = {}): Promise<AdapterInspection> {
  const inspected: LayerInspection[] = [];
  for (const [done, layer] of layers.entries()) {
    await pause?.(done);
    inspected.push(await inspectLayer(layer, config, compared));
  }
  const scales = new Set(inspected.map((layer) => layer.scale));
  return {
    baseModel: config.baseModel,
    rank: config.rank,
    alpha: config.alpha,
    dropout: config.dropout,
    rankStabilised: config.rankStabilised,
    scale: scales.size === 1 ? inspected[0]?.scale : undefined,
    parameters: inspected.reduce((sum, layer) => sum + layer.parameters, 0),
    norm: Math.hypot(...inspected.map((layer) => layer.norm)),
    layers: inspected,
  };
}

async function inspectLayer(
  stored: AdapterLayer,
  config: AdapterConfig,
  { weightOf, other }: Omit<Inspecting, "pause">,
): Promise<LayerInspection> {
  const weight = await weightOf?.(stored);
  const layer = changeOf(stored, config, weight);
  const { name, rank, scale, inputs, outputs } = layer;
  const directions = directionsOf(layer);
  const found = other?.layers.find((each) => each.name === name);
  const theirs = found && other && changeOf(found, other.config, weight);
  const partner = theirs?.inputs === inputs ? theirs : undefined;
  return {
    name,
    rank,
    scale,
    shape: [outputs, inputs],
    parameters: valuesIn(stored, config),
    ...decompositionOf(directions),
    ...(weight === undefined ? {} : { amplification: amplificationOf(directions, weight, outputs, inputs) }),
    ...(partner === undefined ? {} : { similarity: similarityOf(directions, directionsOf(partner), inputs) }),
  };
}

/** A stored layer whose s·B·A is its ΔW. */
function changeOf(stored: AdapterLayer, { method }: AdapterConfig, weight: Float32Array | undefined): AdapterLayer {
  if (stored.isWidest && weight === undefined) {
    throw new InputError(
      `Layer ${stored.name}: a file of the method ${method} does not say how many inputs a layer has. Give the model: --model MODEL.`,
    );
  }
  const layer = stored.isWidest && weight !== undefined ? { ...stored, inputs: weight.length / stored.outputs } : stored;
  return { ...layer, ...variantOf(method).change?.(layer) };
}
