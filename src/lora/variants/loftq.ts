import { product } from "../kernels/products.js";
import type { AdaptedLayer } from "../layer.js";
import { A, B, pair, randomA } from "./lora.js";
import { lowRankPair } from "./low-rank-pair.js";
import type { Start, Variant } from "./variant.js";

/** PEFT's default, `loftq_iter`. */
const ROUNDS = 1;

/**
 * LoftQ (Li et al. 2023, arXiv 2310.08659, algorithm 1): A and B start as the largest singular directions of what rounding takes from
 * W. From the second round on what they hold is taken out of W before it is rounded, Q_t = q(W − s·B_{t−1}A_{t−1}), so that the frozen
 * weights are Q_T. What is trained and stored is a plain LoRA beside them.
 *
 * PEFT's `loftq_init` does not divide by s; here Q_T + s·BA is near W for every s.
 */
export const loftq: Variant = {
  ...pair,
  options: ["loftqRounds", "svdRounds"],
  precision: "4bit",
  async initialise(layer, start) {
    const [weight, base] = [await start.weight(), await start.base()];
    const rest = difference(weight, base);
    if (rest.every((value) => value === 0)) return randomA(layer, start); // a weight that is not rounded
    const { a, b } = lowRankPair(layer, rest, start);
    return new Map([
      [A, a],
      [B, b],
    ]);
  },
  base: roundedBase,
};

/** Q_T, in the values that its codes stand for. */
async function roundedBase(layer: AdaptedLayer, start: Start): Promise<Float32Array> {
  const { loftqRounds = ROUNDS } = start.settings;
  const weight = await start.weight();
  let base = start.rounded(weight);
  for (let round = 1; round < loftqRounds; round++) {
    const { a, b } = lowRankPair(layer, difference(weight, base), start);
    const held = product(b, a, layer.outputs, layer.rank, layer.inputs);
    base = start.rounded(weight.map((value, at) => value - layer.scale * (held[at] ?? 0)));
  }
  return base;
}

const difference = (from: Float32Array, what: Float32Array): Float32Array => from.map((value, at) => value - (what[at] ?? 0));
