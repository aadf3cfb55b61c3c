import { add } from "../../ops/add.js";
import { linear } from "../../ops/linear.js";
import { mul } from "../../ops/mul.js";
import { torchUniform } from "../kernels/torch-uniform.js";
import type { AdaptedLayer, AdapterLayer } from "../layer.js";
import { valuesOf } from "./lora.js";
import type { InferenceForm, ShapedValues, Variant } from "./variant.js";

/** A and B, which all layers share; PEFT stores them once. */
const SHARED_A = "vera_A";
const SHARED_B = "vera_B";
/** b and d, as PEFT writes them. */
const LAMBDA_B = "vera_lambda_b";
const LAMBDA_D = "vera_lambda_d";

/** Where d starts: PEFT's default, which the paper recommends (its table 6c). */
const D_INITIAL = 0.1;

/**
 * VeRA (Kopiczko et al. 2023, arXiv 2310.11454, eq. 2): y = x·Wᵀ + b ⊙ ((d ⊙ x·Aᵀ)·Bᵀ) with A and B random, frozen and the same for
 * all layers, of which each takes as many columns of A and rows of B as it has inputs and outputs. The vectors b, zero at the start, and
 * d are trained. A and B are drawn as PEFT draws them from its `projection_prng_key`, bit for bit.
 */
export const vera: Variant = {
  parameters: ({ rank, inputs, outputs }) => [
    { name: SHARED_A, shape: [rank, inputs], isTrained: false, isShared: true, multiplies: "dropped", side: "input" },
    { name: SHARED_B, shape: [outputs, rank], isTrained: false, isShared: true, side: "output" },
    { name: LAMBDA_B, shape: [outputs], isTrained: true, side: "output" },
    { name: LAMBDA_D, shape: [rank], isTrained: true, side: "output" },
  ],
  initialise(layer, start) {
    const { a, b } = start.common(() => projections(start.layers, start.settings.seed ?? 0));
    return new Map([
      [SHARED_A, columnsOf(a, layer)],
      [SHARED_B, b.subarray(0, layer.outputs * layer.rank)],
      [LAMBDA_B, new Float32Array(layer.outputs)],
      [LAMBDA_D, new Float32Array(layer.rank).fill(D_INITIAL)],
    ]);
  },
  forward(_layer, rows) {
    const inner = mul(rows.multiplied(SHARED_A), rows.parameter(LAMBDA_D)); // [N, R]
    const change = mul(linear(inner, rows.parameter(SHARED_B)), rows.parameter(LAMBDA_B)); // [N, out]
    return add(rows.addBias(rows.product(rows.input)), change);
  },
  stored: (layer, values) => ({
    ...layer,
    scale: 1,
    a: valuesOf(values, SHARED_A),
    b: valuesOf(values, SHARED_B),
    vectors: new Map([LAMBDA_B, LAMBDA_D].map((name) => [name, valuesOf(values, name)])),
  }),
  vectors: [],
  storedRanks: 1,
  change: changeOf,
  async inference(layer, weight) {
    return changeOf(layer.isWidest ? { ...layer, inputs: (await weight()).length / layer.outputs } : layer);
  },
  peftFields: { peft_type: "VERA" },
  foreign: ["alpha", "rslora", "rankPattern", "alphaPattern", "initialisation"],
  file: {
    config: (fields, { rank, dropout, settings }) => ({
      ...Object.fromEntries(commonFields.map((name) => [name, fields[name]])),
      d_initial: D_INITIAL,
      init_weights: true,
      peft_type: "VERA",
      projection_prng_key: settings.seed ?? 0,
      r: rank,
      save_projection: true,
      vera_dropout: dropout,
    }),
    plainFields: (fields) => ({ ...fields, r: fields.r ?? 256, lora_dropout: fields.vera_dropout ?? 0 }),
    settings: (fields) => ({ seed: Number(fields.projection_prng_key ?? 0) }),
    parameters: [LAMBDA_B, LAMBDA_D],
    shared: [SHARED_A, SHARED_B],
    tensors: ({ vectors = new Map() }) =>
      new Map(
        [LAMBDA_B, LAMBDA_D].map((name) => {
          const values = valuesOf(vectors, name);
          return [name, { shape: [values.length], values }];
        }),
      ),
    sharedTensors(layers) {
      const [a, b] = [layers.map((layer) => layer.a), layers.map((layer) => layer.b)].map(longest);
      const rank = layers[0]?.rank ?? 1;
      if (a === undefined || b === undefined) return new Map();
      return new Map([
        [SHARED_A, { shape: [rank, a.length / rank], values: a }],
        [SHARED_B, { shape: [b.length / rank, rank], values: b }],
      ]);
    },
    layer: readLayer,
  },
};

/** Fields that PEFT's configurations of both kinds have. */
const commonFields = [
  "auto_mapping",
  "base_model_name_or_path",
  "bias",
  "fan_in_fan_out",
  "inference_mode",
  "layers_pattern",
  "layers_to_transform",
  "modules_to_save",
  "peft_version",
  "revision",
  "target_modules",
  "task_type",
];

/** A and B as wide as the widest layers, uniform within Kaiming's bound √(6 / columns) (PEFT's `_kaiming_init`). */
function projections(layers: readonly AdaptedLayer[], seed: number): { a: Float32Array; b: Float32Array } {
  const most = (of: (layer: AdaptedLayer) => number) => Math.max(...layers.map(of));
  const [rank, inputs, outputs] = [most((layer) => layer.rank), most((layer) => layer.inputs), most((layer) => layer.outputs)];
  const [a, b] = [new Float32Array(rank * inputs), new Float32Array(outputs * rank)];
  const fill = torchUniform(seed);
  fill(a, Math.sqrt(3) * (Math.SQRT2 / Math.sqrt(inputs)));
  fill(b, Math.sqrt(3) * (Math.SQRT2 / Math.sqrt(rank)));
  return { a, b };
}

/** The first columns of an A [rank, ..]: A itself where it has no more. */
function columnsOf(a: Float32Array, { rank, inputs }: Pick<AdaptedLayer, "rank" | "inputs">): Float32Array {
  const width = a.length / rank;
  if (width === inputs) return a;
  return Float32Array.from({ length: rank * inputs }, (_, at) => a[Math.floor(at / inputs) * width + (at % inputs)] ?? 0);
}

const longest = (arrays: readonly Float32Array[]) =>
  arrays.reduce<Float32Array | undefined>((found, each) => (each.length > (found?.length ?? 0) ? each : found), undefined);

/** (b ⊙ B)·(d ⊙ A) */
function changeOf({ rank, inputs, a, b, vectors = new Map() }: AdapterLayer): InferenceForm {
  const [lambdaB, lambdaD] = [valuesOf(vectors, LAMBDA_B), valuesOf(vectors, LAMBDA_D)];
  return {
    rank,
    scale: 1,
    a: columnsOf(a, { rank, inputs }).map((value, at) => value * (lambdaD[Math.floor(at / inputs)] ?? 0)),
    b: b.map((value, at) => value * (lambdaB[Math.floor(at / rank)] ?? 0)),
  };
}

/** PEFT's file says how many outputs a layer has, by b, and not how many inputs. */
function readLayer(
  { name, rank }: Pick<AdapterLayer, "name" | "rank">,
  tensors: ReadonlyMap<string, ShapedValues>,
  shared: ReadonlyMap<string, ShapedValues>,
): AdapterLayer | string {
  const [a, b] = [shared.get(SHARED_A), shared.get(SHARED_B)];
  if (a === undefined || b === undefined)
    return `the file has no ${SHARED_A} and ${SHARED_B}: it was saved without them (save_projection). Save it again with them`;
  const [lambdaB, lambdaD] = [tensors.get(LAMBDA_B), tensors.get(LAMBDA_D)];
  const outputs = lambdaB?.values.length ?? 0;
  const fits = lambdaD?.values.length === rank && a.shape[0] === rank && b.shape[1] === rank && outputs <= (b.shape[0] ?? 0);
  if (!fits || lambdaB === undefined || a.shape.length !== 2 || b.shape.length !== 2) {
    const shapes = [a, b, lambdaB, lambdaD].map((tensor) => `[${tensor?.shape.join(", ")}]`).join(", ");
    return `${name}: ${SHARED_A}, ${SHARED_B}, ${LAMBDA_B} and ${LAMBDA_D} are ${shapes}, which does not fit rank ${rank}`;
  }
  return {
    name,
    rank,
    scale: 1,
    inputs: a.shape[1] ?? 0,
    isWidest: true,
    outputs,
    a: a.values,
    b: b.values.subarray(0, outputs * rank),
    vectors: new Map([...tensors].map(([key, { values }]) => [key, values])),
  };
}
