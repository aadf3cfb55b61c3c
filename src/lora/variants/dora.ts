import type { Tensor } from "../../graph/graph.js";
import { add } from "../../ops/add.js";
import { linear } from "../../ops/linear.js";
import { magnitudeGain } from "../../ops/magnitude-gain.js";
import { mul } from "../../ops/mul.js";
import { mergeInto, rowSquares } from "../kernels/merge.js";
import type { AdaptedLayer, AdapterLayer } from "../layer.js";
import { A, B, parameterA, parameterB, randomA, storedPair, valuesOf } from "./lora.js";
import type { LayerRows, Variant } from "./variant.js";

/** m, as PEFT writes it. */
/** The lengths of the rows of W', as PEFT names them behind the layer. */
export const MAGNITUDE = "lora_magnitude_vector";
/** ‖w‖² of each row of the frozen W. */
const SQUARES = "weight_squares";

/**
 * DoRA (Liu et al. 2024, arXiv 2402.09353, eq. 5): the length of each row of the weight is trained apart from its direction,
 * W' = m ⊙ (W + s·BA) / ‖W + s·BA‖, with norms by row that count as constants in the gradient (section 4.3). m starts as ‖W‖, and so
 * W' as W.
 */
export const dora: Variant = {
  parameters: (layer) => [
    parameterA(layer),
    parameterB(layer),
    { name: MAGNITUDE, shape: [layer.outputs], isTrained: true, side: "output" },
    { name: SQUARES, shape: [layer.outputs], isTrained: false, side: "output" },
  ],
  async initialise(layer, start) {
    const squares = rowSquares(await start.weight(), layer.outputs);
    return new Map([
      ...randomA(layer, start),
      [MAGNITUDE, Float32Array.from(squares, Math.sqrt)] as const,
      [SQUARES, Float32Array.from(squares)] as const,
    ]);
  },
  forward(layer, rows) {
    const gain = gainOf(layer, rows);
    const product = rows.product(rows.dropped); // [N, out]
    const adapted = linear(rows.multiplied(A), rows.parameter(B), { scale: layer.scale, addend: product });
    return rows.addBias(withoutDropout(rows, product, mul(adapted, gain)));
  },
  stored: (layer, values) => ({ ...storedPair(layer, values), vectors: new Map([[MAGNITUDE, valuesOf(values, MAGNITUDE)]]) }),
  vectors: [MAGNITUDE],
  storedRanks: 1,
  async inference(layer, weight) {
    const gain = gainValues(layer, await weight());
    const b = layer.b.map((value, index) => value * (gain[Math.floor(index / layer.rank)] ?? 0));
    return { rank: layer.rank, scale: layer.scale, a: layer.a, b, gain };
  },
  hasGain: true,
  peftFields: { use_dora: true },
};

/** m / ‖W + s·BA‖, [out]. */
function gainOf({ scale }: AdaptedLayer, rows: LayerRows): Tensor {
  const a = rows.parameter(A);
  return magnitudeGain(rows.parameter(MAGNITUDE), a, rows.parameter(B), rows.product(a), rows.parameter(SQUARES), { scale });
}

/** Dropout spares the frozen layer: as in PEFT, y = x·Wᵀ + g ⊙ (d·Wᵀ + s·d·AᵀBᵀ) − d·Wᵀ for d, what dropout leaves of x. */
function withoutDropout(rows: LayerRows, product: Tensor, adapted: Tensor): Tensor {
  if (rows.dropped === rows.input) return adapted;
  const spared = add(rows.product(rows.input), mul(product, product.graph.scalar(-1)));
  return add(spared, adapted); // [N, out]
}

function gainValues({ inputs, outputs, vectors, ...change }: AdapterLayer, weight: Float32Array): Float32Array {
  const adapted = new Float32Array(outputs * inputs);
  mergeInto(adapted, weight, change);
  const squares = rowSquares(adapted, outputs);
  const magnitude = valuesOf(vectors ?? new Map(), MAGNITUDE);
  return magnitude.map((value, row) => value / Math.sqrt(squares[row] ?? 0));
}
