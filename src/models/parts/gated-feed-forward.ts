import type { Tensor } from "../../graph/graph.js";
import { swiglu } from "../../ops/swiglu.js";
import type { Sublayer } from "./sublayer.js";

export interface GatedFeedForward {
  /** Of the module: `model.layers.0.mlp`. */
  readonly name: string;
  readonly hidden: number;
  readonly feedForward: number;
  readonly hasBias?: boolean;
  /** Gate and up [N, F] → [N, F]; SwiGLU by default. */
  readonly activate?: (gate: Tensor, up: Tensor) => Tensor;
}

/** down(f(gate(x), up(x))) (Shazeer 2020), with the layers as Llama's checkpoints name them. */
export function gatedFeedForward({ name, hidden, feedForward, hasBias = false, activate = swiglu }: GatedFeedForward): Sublayer {
  const gateUp = [
    { name: `${name}.gate_proj`, inputs: hidden, outputs: feedForward, hasBias },
    { name: `${name}.up_proj`, inputs: hidden, outputs: feedForward, hasBias },
  ] as const;
  const down = [{ name: `${name}.down_proj`, inputs: feedForward, outputs: hidden, hasBias }] as const;
  return {
    linearGroups: [gateUp, down],
    weights: [],
    apply: (x, context) => {
      const [gate, up] = context.linear(x, gateUp); // [N, F]
      const [fed] = context.linear(activate(gate, up), down); // [N, C]
      return fed;
    },
  };
}
