import type { Adapter } from "./adapter.js";
import { type Decomposition, decompose } from "./decomposition.js";

/** What `inspect` shows of one layer. */
export interface LayerInspection extends Decomposition {
  readonly name: string;
  readonly rank: number;
  readonly scale: number;
  /** [outputs, inputs] of the layer it stands beside. */
  readonly shape: readonly [number, number];
  readonly parameters: number;
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

/**
 * Measures an adapter: sizes, scales, and how each layer's ΔW = s·BA is spread over its directions. Each layer may take long: before it,
 * `pause` is awaited with the number of layers done, and ends the work by throwing.
 */
export async function inspectAdapter(
  { config, layers }: Adapter,
  pause: (done: number) => Promise<void> = async () => {},
): Promise<AdapterInspection> {
  const inspected: LayerInspection[] = [];
  for (const [done, layer] of layers.entries()) {
    await pause(done);
    inspected.push({
      name: layer.name,
      rank: layer.rank,
      scale: layer.scale,
      shape: [layer.outputs, layer.inputs],
      parameters: layer.a.length + layer.b.length,
      ...decompose(layer),
    });
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
