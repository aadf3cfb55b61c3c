import { createRandom } from "../data/random.js";
import type { HeadParameter } from "../models/architecture.js";
import type { AdaptedLayer, LinearLayer } from "./layer.js";
import { type AdapterLayout, parameterName, sizeOf, viewOf, type WholeTensor } from "./layout.js";
import type { InputDirections, Start, VariantSettings } from "./variants/variant.js";

/** How a new adapter begins. */
export interface AdapterStart extends Pick<Start, "initialisation" | "rounds"> {
  readonly seed: number;
  readonly settings?: VariantSettings | undefined;
  /** The W [outputs, inputs] of a layer in the checkpoint, for variants that start from it. */
  readonly weightOf: (layer: LinearLayer) => Promise<Float32Array>;
  /** What stands frozen in its place; the same by default. */
  readonly baseOf?: ((layer: LinearLayer) => Promise<Float32Array>) | undefined;
  /** How the run rounds a matrix of so many inputs; by default it does not. */
  readonly rounded?: ((matrix: Float32Array, inputs: number) => Float32Array) | undefined;
  /** What a layer reads in the user's data, for variants that start from it. */
  readonly inputsOf?: ((layer: LinearLayer) => InputDirections) | undefined;
  /** What a tensor that is trained whole starts as, in a layout that has such. */
  readonly wholeOf?: ((tensor: WholeTensor) => Promise<Float32Array> | Float32Array) | undefined;
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
  const layers = layout.groups.flatMap((group) => group.layers.map((layer) => ({ layer, variant: group.variant })));
  const startOf = starts(
    layers.map(({ layer }) => layer),
    start,
  );
  for (const [done, { layer, variant }] of layers.entries()) {
    await start.pause?.(done);
    const values = await variant.initialise(layer, startOf(layer));
    for (const [name, place] of layer.parameters) {
      const found = values.get(name);
      if (found === undefined) throw new Error(`${layer.name} starts without its ${name}`);
      viewOf(place.isTrained ? trainables : frozen, place).set(found);
    }
  }
  for (const entry of layout.modules) {
    const values = await start.wholeOf?.(entry);
    if (values === undefined) throw new Error(`${entry.name} is trained whole, and nothing says what it starts as`);
    viewOf(trainables, entry).set(values);
  }
  return { trainables, frozen };
}

/** What each of the layers of an adapter starts from. */
export function starts(layers: readonly AdaptedLayer[], start: AdapterStart): (layer: LinearLayer) => Start {
  const { initialisation, rounds, seed, settings = {}, weightOf, baseOf = weightOf, rounded, inputsOf } = start;
  let made: { readonly value: unknown } | undefined;
  return (layer) => ({
    initialisation,
    rounds,
    settings,
    layers,
    common: <T>(make: () => T) => {
      made ??= { value: make() };
      return made.value as T; // a variant has one thing in common
    },
    random: (parameter) => createRandom(seed, parameterName(layer.name, parameter)),
    weight: () => weightOf(layer),
    base: () => baseOf(layer),
    rounded: (matrix) => rounded?.(matrix, layer.inputs) ?? matrix,
    inputs: () => {
      if (inputsOf === undefined) throw new Error("this variant starts from data, and none was looked at");
      return inputsOf(layer);
    },
  });
}

/**
 * A fresh tensor of a head: normal with its own standard deviation, biases at zero, as transformers does. Each has a random stream of its
 * own, named by the tensor.
 */
export function freshTensor({ name, shape, deviation }: HeadParameter, seed: number): Float32Array {
  const values = new Float32Array(sizeOf({ shape }));
  if (deviation > 0) createRandom(seed, name).fillNormal(values, deviation);
  return values;
}
