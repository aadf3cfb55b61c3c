import { createRandom, type Random } from "../data/random.js";
import type { HeadParameter } from "../models/architecture.js";
import type { AdapterLayout } from "./layout.js";
import { viewOf } from "./layout.js";
import type { Initialisation } from "./spec.js";

/**
 * The vector of a new adapter: A random, B zero, so that training starts at exactly the pretrained model (Hu et al. 2021, section 4.1).
 * The paper draws A from a Gaussian without giving its width; PEFT's `gaussian`, followed here, takes the standard deviation 1/r.
 * `peft` is PEFT's default (kaiming_uniform with a = √5): uniform in ±1/√inputs.
 *
 * Each matrix has a random stream of its own, named by the matrix: its values depend on the seed and its name, not on the other layers.
 */
export function initialiseAdapter(layout: AdapterLayout, initialisation: Initialisation, seed: number): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(layout.length);
  for (const { a } of layout.groups.flatMap((group) => group.layers)) {
    const [rank, inputs] = a.shape;
    const random = createRandom(seed, a.name);
    const view = viewOf(vector, a);
    if (initialisation === "gaussian") random.fillNormal(view, 1 / rank);
    else fillCentred(view, random, 1 / Math.sqrt(inputs));
  }
  return vector;
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

/** Uniform in ±bound. */
function fillCentred(view: Float32Array, random: Random, bound: number): void {
  for (let index = 0; index < view.length; index++) view[index] = (2 * random.uniform() - 1) * bound;
}
