import { initialiseAdapter } from "../../src/lora/initialise.js";
import { type AdapterLayout, type LaidOutLayer, type PlacedParameter, viewOf } from "../../src/lora/layout.js";
import type { Initialisation } from "../../src/lora/spec.js";

/** The trainables of a new adapter whose variant starts without looking at the frozen weights. */
export async function newTrainables(
  layout: AdapterLayout,
  initialisation: Initialisation,
  seed: number,
): Promise<Float32Array<ArrayBuffer>> {
  const weightOf = () => Promise.reject(new Error("this variant does not need the weights"));
  return (await initialiseAdapter(layout, { initialisation, seed, weightOf, rounds: 0 })).trainables;
}

/** Where the A or B of a layer lies. */
export function placeOf({ name, parameters }: LaidOutLayer, matrix: "A" | "B"): PlacedParameter {
  const place = parameters.get(`lora_${matrix}.weight`);
  if (place === undefined) throw new Error(`${name} has no ${matrix}`);
  return place;
}

/** A and B of a layer, out of the vector of trainables. */
export const pairOf = (layer: LaidOutLayer, vector: Float32Array) => ({
  a: viewOf(vector, placeOf(layer, "A")),
  b: viewOf(vector, placeOf(layer, "B")),
});
