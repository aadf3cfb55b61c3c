import { InputError } from "../../errors.js";
import { linear } from "../../ops/linear.js";
import type { AdaptedLayer, AdapterLayer } from "../layer.js";
import { A, B, parameterA, parameterB, valuesOf } from "./lora.js";
import type { InferenceForm, ParameterValues, Start, Variant } from "./variant.js";

/** The pair that a start takes out of W, and that stays as it is. */
export interface StartPair {
  readonly a: Float32Array; // [rank, inputs]
  readonly b: Float32Array; // [outputs, rank]
}

const START_A = "start_A";
const START_B = "start_B";

/**
 * A variant whose A₀ and B₀ are parts of W: y = x·(W − s·B₀A₀)ᵀ + s·x·Aᵀ·Bᵀ. W itself stays as it is, and can be shared or rounded:
 * the start is subtracted beside it. What is stored is a plain LoRA of twice the rank, [A; A₀] and [B, −B₀], as PEFT converts it
 * (`path_initial_model_for_weight_conversion`).
 *
 * @param pairOf A₀ and B₀ out of W
 * @param again the same for an adapter that PEFT has stored without them: they must be those that it trained with
 */
export function subtractedStart(
  pairOf: (layer: AdaptedLayer, start: Start) => Promise<StartPair>,
  again: (layer: AdaptedLayer, weight: Float32Array) => StartPair,
  peftFields: Variant["peftFields"],
): Variant {
  return {
    parameters: (layer) => [
      parameterA(layer),
      parameterB(layer),
      { ...parameterA(layer), name: START_A, isTrained: false, multiplies: "input" },
      { ...parameterB(layer), name: START_B, isTrained: false },
    ],
    async initialise(layer, start): Promise<ParameterValues> {
      checkRank(layer);
      const { a, b } = await pairOf(layer, start);
      return new Map(Object.entries({ [A]: a, [B]: b, [START_A]: a, [START_B]: b }));
    },
    forward({ scale }, rows) {
      const base = rows.addBias(rows.product(rows.input));
      const rest = linear(rows.multiplied(START_A), rows.parameter(START_B), { scale: -scale, addend: base });
      return linear(rows.multiplied(A), rows.parameter(B), { scale, addend: rest }); // [N, out]
    },
    stored: (layer, values) => {
      const [a, b] = [valuesOf(values, A), valuesOf(values, B)];
      return { ...layer, ...joined({ ...layer, a, b }, { a: valuesOf(values, START_A), b: valuesOf(values, START_B) }) };
    },
    vectors: [],
    storedRanks: 2,
    async inference(layer, weight) {
      checkRank(layer);
      return joined(layer, again(layer, await weight()));
    },
    peftFields,
  };
}

/** W has no more directions than this. */
export function checkRank({ name, rank, inputs, outputs }: AdaptedLayer): void {
  const most = Math.min(inputs, outputs);
  if (rank <= most) return;
  throw new InputError(
    `${name} is [${outputs}, ${inputs}]: an adapter that starts from its weight has at most rank ${most}, found ${rank}. Lower --rank, or take the method lora.`,
  );
}

/** [A; A₀] and [B, −B₀]. */
function joined({ rank, outputs, scale, a, b }: AdapterLayer, start: StartPair): InferenceForm {
  const wide = new Float32Array(2 * outputs * rank);
  for (let row = 0; row < outputs; row++) {
    wide.set(b.subarray(row * rank, (row + 1) * rank), 2 * row * rank);
    wide.set(
      start.b.subarray(row * rank, (row + 1) * rank).map((value) => -value),
      (2 * row + 1) * rank,
    );
  }
  const tall = new Float32Array(2 * a.length);
  tall.set(a);
  tall.set(start.a, a.length);
  return { rank: 2 * rank, scale, a: tall, b: wide };
}
