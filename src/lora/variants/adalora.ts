import { linear } from "../../ops/linear.js";
import { mul } from "../../ops/mul.js";
import { reshape } from "../../ops/reshape.js";
import type { AdaptedLayer, AdapterLayer } from "../layer.js";
import { rankAllocation } from "./adalora-budget.js";
import { readTriplet, tripletFields, tripletSettings, tripletTensors } from "./adalora-file.js";
import { A, B, E, type Triplet } from "./adalora-names.js";
import { valuesOf } from "./lora.js";
import type { InferenceForm, Variant } from "./variant.js";

/** The standard deviation at which PEFT draws A and B. */
const DEVIATION = 0.02;
/** Keeps PEFT's division by the rank finite. */
const RANK_EPSILON = 1e-5;

/**
 * AdaLoRA (Zhang et al. 2023, arXiv 2303.10512, eq. 3): y = x·Wᵀ + s·((x·Aᵀ) ⊙ e)·Bᵀ, with A and B kept near orthogonal by a penalty, so that
 * the e are like singular values. e starts at zero. All layers begin with the same rank, and those e that matter least, of all layers
 * together, are set to zero bit by bit until a budget of ranks is left (`adalora-budget.ts`). As in PEFT, s is α by the first rank.
 */
export const adalora: Variant = {
  parameters: ({ rank, inputs, outputs }) => [
    { name: A, shape: [rank, inputs], isTrained: true, multiplies: "dropped", side: "input" },
    { name: B, shape: [outputs, rank], isTrained: true, side: "output" },
    { name: E, shape: [rank, 1], isTrained: true, side: "input" },
  ],
  initialise({ rank, inputs, outputs }, { random }) {
    const [a, b] = [new Float32Array(rank * inputs), new Float32Array(outputs * rank)];
    random(A).fillNormal(a, DEVIATION);
    random(B).fillNormal(b, DEVIATION);
    return new Map([
      [A, a],
      [B, b],
      [E, new Float32Array(rank)],
    ]);
  },
  forward(layer, rows) {
    const inner = mul(rows.multiplied(A), reshape(rows.parameter(E), [layer.rank])); // [N, R]
    return linear(inner, rows.parameter(B), { scale: strengthOf(layer), addend: rows.addBias(rows.product(rows.input)) }); // [N, out]
  },
  stored: (layer, values) => ({
    ...layer,
    scale: strengthOf(layer),
    a: valuesOf(values, A),
    b: valuesOf(values, B),
    vectors: new Map([[E, valuesOf(values, E)]]),
  }),
  vectors: [],
  storedRanks: 1,
  change: changeOf,
  inference: changeOf,
  peftFields: { peft_type: "ADALORA" },
  options: ["targetRank", "pruneFrom", "pruneUntil", "pruneEvery", "orthogonality"],
  foreign: ["rslora", "rankPattern", "alphaPattern", "initialisation"],
  needsLength: true,
  shaping: rankAllocation,
  found: (layers) => {
    const masks = layers.map((layer) => [layer.name, Array.from(valuesOf(layer.vectors ?? new Map(), E), (e) => e !== 0)] as const);
    return masks.every(([, mask]) => mask.every(Boolean)) ? {} : { masks: Object.fromEntries(masks) };
  },
  file: {
    config: tripletFields,
    plainFields: (fields) => ({ ...fields, r: fields.init_r ?? 12, rank_pattern: null, use_rslora: false }),
    settings: tripletSettings,
    parameters: [A, B, E],
    shared: [],
    tensors: tripletTensors,
    sharedTensors: () => new Map(),
    layer: (layer, tensors) => {
      const read = readTriplet(layer, tensors);
      return typeof read === "string" ? read : { ...read, scale: strengthOf(layer) };
    },
  },
};

const strengthOf = ({ scale, rank }: Pick<AdaptedLayer, "scale" | "rank">): number => (scale * rank) / (rank + RANK_EPSILON);

/** B·(e ⊙ A) of the e that are left; one that is zero where none is. */
function changeOf({ rank, inputs, outputs, scale, a, b, vectors = new Map() }: AdapterLayer): InferenceForm {
  const e = valuesOf(vectors, E);
  const left = Array.from(e.keys()).filter((r) => e[r] !== 0);
  const kept = left.length === 0 ? [0] : left;
  const triplet: Triplet = { rank: kept.length, a: new Float32Array(kept.length * inputs), b: new Float32Array(outputs * kept.length) };
  for (const [to, from] of kept.entries()) {
    for (let i = 0; i < inputs; i++) triplet.a[to * inputs + i] = (a[from * inputs + i] ?? 0) * (e[from] ?? 0);
    for (let o = 0; o < outputs; o++) triplet.b[o * kept.length + to] = b[o * rank + from] ?? 0;
  }
  return { ...triplet, scale };
}
