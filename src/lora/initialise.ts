import { createRandom } from "../data/random.js";
import type { HeadParameter } from "../models/architecture.js";
import type { LinearLayer } from "./layer.js";
import { type AdapterLayout, parameterName, viewOf } from "./layout.js";
import type { InputDirections, Start } from "./variants/variant.js";

/** How a new adapter begins. */
export interface AdapterStart extends Pick<Start, "initialisation" | "rounds"> {
  readonly seed: number;
  /** The frozen W [outputs, inputs] of a layer, for variants that start from it. */
  readonly weightOf: (layer: LinearLayer) => Promise<Float32Array>;
  /** What a layer reads in the user's data, for variants that start from it. */
  readonly inputsOf?: ((layer: LinearLayer) => InputDirections) | undefined;
  /** Awaited before each layer with the number of those done; it ends the work by throwing. */
  readonly pause?: ((done: number) => Promise<void>) | undefined;
}

/** The values of a new adapter. */
export interface StartedAdapter {
  readonly trainables: Float32Array<ArrayBuffer>;
  /** What training leaves as it is; see `AdapterLayout.frozenLength`. The same start gives it again. */
  readonly frozen: Float32Array<ArrayBuffer>;
}

/**
 * The values of a new adapter, as its variant starts. Each parameter has a random stream of its own, named by the parameter: its values
 * depend on the seed and its name, not on the other layers.
 */
export async function initialiseAdapter(layout: AdapterLayout, start: AdapterStart): Promise<StartedAdapter> {
  const trainables = new Float32Array(layout.length);
  const frozen = new Float32Array(layout.frozenLength);
  for (const [done, layer] of layout.groups.flatMap(({ layers }) => layers).entries()) {
    await start.pause?.(done);
    const values = await layout.variant.initialise(layer, {
      ...start,
      random: (parameter) => createRandom(start.seed, parameterName(layer.name, parameter)),
      weight: () => start.weightOf(layer),
      inputs: () => {
        if (start.inputsOf === undefined) throw new Error("this variant starts from data, and none was looked at");
        return start.inputsOf(layer);
      },
    });
    for (const [name, place] of layer.parameters) {
      const found = values.get(name);
      if (found === undefined) throw new Error(`${layer.name} starts without its ${name}`);
      viewOf(place.isTrained ? trainables : frozen, place).set(found);
    }
  }
  return { trainables, frozen };
}

/**
 * Starts a head in the vector of trainables: each tensor normal with its own standard deviation, biases at zero, as transformers
 * does. Each has a random stream of its own, named by the tensor.
 */
export function initialiseHead(vector: Float32Array, layout: AdapterLayout, parameters: readonly HeadParameter[], seed: number): void {
  for (const { name, deviation } of parameters) {
    const entry = layout.entries.get(name);
    if (entry === undefined) throw new Error(`the vector of trainables has no place for ${name}`);
    if (deviation > 0) createRandom(seed, name).fillNormal(viewOf(vector, entry), deviation);
  }
}
