import { add } from "../../ops/add.js";
import { mul } from "../../ops/mul.js";
import { pair, storedPair, valuesOf } from "./lora.js";
import type { Variant } from "./variant.js";

/** The bias of B, as PEFT writes it. */
const BIAS = "lora_B.bias";

/** LoRA whose B has a bias b, PEFT's `lora_bias`: y = x·Wᵀ + s·(x·Aᵀ·Bᵀ + b), b zero at the start. */
export const loraBias: Variant = {
  ...pair,
  parameters: (layer) => [...pair.parameters(layer), { name: BIAS, shape: [layer.outputs], isTrained: true, side: "output" }],
  initialise: async (layer, start) => new Map([...(await pair.initialise(layer, start)), [BIAS, new Float32Array(layer.outputs)] as const]),
  forward(layer, rows) {
    const adapted = pair.forward(layer, rows); // [N, out]
    return add(adapted, mul(rows.parameter(BIAS), adapted.graph.scalar(layer.scale)));
  },
  stored: (layer, values) => ({ ...storedPair(layer, values), vectors: new Map([[BIAS, valuesOf(values, BIAS)]]) }),
  vectors: [BIAS],
  inference: ({ rank, scale, a, b, vectors }) => ({
    rank,
    scale,
    a,
    b,
    offset: valuesOf(vectors ?? new Map(), BIAS).map((value) => scale * value),
  }),
  hasOffset: true,
  peftFields: { lora_bias: true },
};
