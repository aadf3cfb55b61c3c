import type { Shape } from "../../src/graph/dimension.js";
import type { Tensor } from "../../src/graph/graph.js";
import { adamw } from "../../src/ops/adamw.js";
import { add } from "../../src/ops/add.js";
import { attention } from "../../src/ops/attention.js";
import { attentionBias } from "../../src/ops/attention-bias.js";
import { cachedAttention } from "../../src/ops/cached-attention.js";
import { clipByNorm } from "../../src/ops/clip-by-norm.js";
import { crossEntropy } from "../../src/ops/cross-entropy.js";
import { dropout } from "../../src/ops/dropout.js";
import { gatherRows } from "../../src/ops/gather-rows.js";
import { frozenLinear, linear } from "../../src/ops/linear.js";
import { mul } from "../../src/ops/mul.js";
import { reshape } from "../../src/ops/reshape.js";
import { rmsNorm } from "../../src/ops/rms-norm.js";
import { rotaryEmbedding } from "../../src/ops/rotary-embedding.js";
import { splitColumns } from "../../src/ops/split-columns.js";
import { swiglu } from "../../src/ops/swiglu.js";
import { weightedSum } from "../../src/ops/weighted-sum.js";
import type { Random } from "../support/random.js";

export type Dimensions = Readonly<Record<string, number>>;

export interface CaseInput {
  readonly shape: Shape;
  readonly dtype?: "float32" | "int64";
  /** Whether gradients flow to it. */
  readonly trained: boolean;
  /** Draws `count` values. */
  readonly values: (random: Random, count: number, dimensions: Dimensions) => readonly number[] | Float32Array;
}

/** One use of an operation; every operation has at least one, and each is tested in value and in gradient on each target. */
export interface OpCase {
  /** The key of its golden in tests/golden/ops/golden.json. */
  readonly name: string;
  readonly inputs: Readonly<Record<string, CaseInput>>;
  /** Values of the symbolic extents, one record for each shape tried. */
  readonly dimensions: readonly Dimensions[];
  readonly build: (inputs: Readonly<Record<string, Tensor>>) => readonly Tensor[];
}

const trained = (...shape: Shape): CaseInput => ({ shape, trained: true, values: (random, count) => random.gaussians(count) });
const fixed = (...shape: Shape): CaseInput => ({ ...trained(...shape), trained: false });
const index = (below: number, ...shape: Shape): CaseInput => ({
  shape,
  dtype: "int64",
  trained: false,
  values: (random, count) => Array.from({ length: count }, () => random.below(below)),
});
const given = (shape: Shape, values: CaseInput["values"], dtype: CaseInput["dtype"] = "float32"): CaseInput => ({
  shape,
  dtype,
  trained: false,
  values,
});

/** 0 … T−1. */
const order = given(["tokens"], (_random, count) => [...Array(count).keys()]);
/** Real tokens (1), then as many of padding (0) as the sequence's number says, so that sequences differ in length. */
const segments = given(["batch", "tokens"], (_random, count, { tokens = 1 }) =>
  Array.from({ length: count }, (_, at) => Number(at % tokens < Math.max(1, tokens - Math.floor(at / tokens)))),
);

const rows = [{ n: 1 }, { n: 3 }, { n: 7 }];
const sequences = [
  { batch: 1, tokens: 1 },
  { batch: 2, tokens: 3 },
  { batch: 3, tokens: 5 },
];

function use(inputs: Readonly<Record<string, Tensor>>): (name: string) => Tensor {
  return (name) => {
    const tensor = inputs[name];
    if (tensor === undefined) throw new Error(`the case has no input ${name}`);
    return tensor;
  };
}

function attentionCase(heads: number, kvHeads: number, size: number): OpCase {
  return {
    name: `attention: ${heads} heads on ${kvHeads}`,
    inputs: {
      q: trained("batch", "tokens", heads * size),
      k: trained("batch", "tokens", kvHeads * size),
      v: trained("batch", "tokens", kvHeads * size),
      segments,
      order,
    },
    dimensions: sequences,
    build: (inputs) => {
      const x = use(inputs);
      return [attention(x("q"), x("k"), x("v"), attentionBias(x("segments"), x("order")), { heads, kvHeads, scale: 0.7 })];
    },
  };
}

function cachedAttentionCase(heads: number, kvHeads: number, size: number): OpCase {
  const past = (name: string) => [name, fixed("batch", kvHeads, "past", size)] as const;
  return {
    name: `cachedAttention: ${heads} heads on ${kvHeads}`,
    inputs: {
      q: fixed("batch", "tokens", heads * size),
      k: fixed("batch", "tokens", kvHeads * size),
      v: fixed("batch", "tokens", kvHeads * size),
      ...Object.fromEntries([past("pastKeys"), past("pastValues")]),
      segments,
      order,
      // The unused end of a preallocated cache is masked.
      pastBias: given(["batch", 1, 1, "past"], (_random, count, { past = 1 }) =>
        Array.from({ length: count }, (_, at) => (at % past < Math.ceil(past / 2) ? 0 : -1e30)),
      ),
    },
    dimensions: [
      { batch: 1, tokens: 1, past: 4 },
      { batch: 2, tokens: 3, past: 5 },
    ],
    build: (inputs) => {
      const x = use(inputs);
      const { output, keys, values } = cachedAttention(
        {
          q: x("q"),
          k: x("k"),
          v: x("v"),
          pastKeys: x("pastKeys"),
          pastValues: x("pastValues"),
          bias: attentionBias(x("segments"), x("order")),
          pastBias: x("pastBias"),
        },
        { heads, kvHeads, scale: 0.7 },
      );
      return [output, keys, values];
    },
  };
}

function linearCases(): OpCase[] {
  const x = trained("n", 4);
  const weight = trained(3, 4);
  return [
    { name: "linear", inputs: { x, weight }, dimensions: rows, build: ({ x, weight }) => [linear(x!, weight!)] },
    {
      name: "linear: scaled, with an addend",
      inputs: { x, weight, addend: trained("n", 3) },
      dimensions: rows,
      build: ({ x, weight, addend }) => [linear(x!, weight!, { scale: 0.5, addend })],
    },
    {
      name: "linear: with a bias",
      inputs: { x, weight, bias: trained(3) },
      dimensions: rows,
      build: ({ x, weight, bias }) => [linear(x!, weight!, { addend: bias })],
    },
    {
      // Two readers of x: the sweep writes the sum into the second product.
      name: "linear: two of one input",
      inputs: { x, first: trained(3, 4), second: trained(2, 4) },
      dimensions: rows,
      build: ({ x, first, second }) => [linear(x!, first!, { scale: 3 }), linear(x!, second!)],
    },
    {
      name: "frozenLinear",
      inputs: { x, weight: fixed(3, 4), addend: trained("n", 3) },
      dimensions: rows,
      build: ({ x, weight, addend }) => [frozenLinear(x!, weight!, { scale: 2, addend })],
    },
  ];
}

function elementwiseCases(name: string, op: (a: Tensor, b: Tensor) => Tensor): OpCase[] {
  const pair = (label: string, a: Shape, b: Shape, dimensions: readonly Dimensions[]): OpCase => ({
    name: `${name}: ${label}`,
    inputs: { a: trained(...a), b: trained(...b) },
    dimensions,
    build: ({ a, b }) => [op(a!, b!)],
  });
  return [
    pair("equal shapes", ["n", 4], ["n", 4], rows),
    pair("a row", ["n", 4], [4], rows),
    pair("a column and a row", ["n", 1], [1, 4], rows),
    pair("a scalar", ["n", 4], [], rows),
    pair("one step for all sequences", ["batch", "tokens", 2], [1, "tokens", 1], sequences),
  ];
}

function columnsCase(name: string, pieces: readonly number[]): OpCase {
  return {
    name,
    inputs: { x: trained("n", 6) },
    dimensions: rows,
    build: ({ x }) => {
      const split = splitColumns(x!, [2, 3, 1]);
      return pieces.map((piece) => split[piece]!);
    },
  };
}

const dropoutRate = 0.4;
const windowStart = 5;

function clipCase(name: string, limit: number): OpCase {
  return {
    name,
    inputs: { gradient: fixed("n"), scale: given([1], () => [0.5]), limit: given([1], () => [limit]) },
    dimensions: rows,
    build: (inputs) => {
      const x = use(inputs);
      const { clipped, norm } = clipByNorm(x("gradient"), x("scale"), x("limit"));
      return [clipped, norm];
    },
  };
}

export const opCases: readonly OpCase[] = [
  ...elementwiseCases("add", add),
  ...elementwiseCases("mul", mul),
  ...linearCases(),
  columnsCase("splitColumns", [0, 1, 2]),
  columnsCase("splitColumns: one piece without a reader", [0, 2]),
  attentionCase(2, 2, 4),
  attentionCase(4, 2, 2),
  attentionCase(3, 1, 2),
  cachedAttentionCase(2, 2, 2),
  cachedAttentionCase(4, 2, 2),
  {
    name: "attentionBias",
    inputs: { segments, order },
    dimensions: sequences,
    build: ({ segments, order }) => [attentionBias(segments!, order!)],
  },
  {
    name: "crossEntropy",
    inputs: { logits: trained("n", 9), targets: index(9, "n") },
    dimensions: rows,
    build: ({ logits, targets }) => [crossEntropy(logits!, targets!)],
  },
  {
    name: "dropout",
    inputs: {
      x: trained("n", 4),
      table: given(["uniforms"], (random, count) => Array.from({ length: count }, () => random.uniform())),
      start: given([1], () => [windowStart], "int64"),
      end: given([1], (_random, _count, { n = 1 }) => [windowStart + 4 * n], "int64"),
    },
    dimensions: [
      { n: 1, uniforms: 20 },
      { n: 7, uniforms: 50 },
    ],
    build: ({ x, table, start, end }) => [dropout(x!, table!, start!, end!, dropoutRate)],
  },
  {
    name: "gatherRows",
    inputs: { table: trained(5, 3), index: index(5, "n") },
    dimensions: rows,
    build: ({ table, index }) => [gatherRows(table!, index!)],
  },
  {
    name: "reshape: to rows",
    inputs: { x: trained("batch", "tokens", 6) },
    dimensions: sequences,
    build: ({ x }) => [reshape(x!, ["batch*tokens", 6])],
  },
  {
    name: "reshape: to heads",
    inputs: { x: trained("batch*tokens", 6) },
    dimensions: sequences,
    build: ({ x }) => [reshape(x!, ["batch", "tokens", 2, 3])],
  },
  {
    name: "rmsNorm",
    inputs: { x: trained("n", 6), gain: trained(6) },
    dimensions: rows,
    build: ({ x, gain }) => [rmsNorm(x!, gain!, 1e-2)],
  },
  {
    name: "rotaryEmbedding",
    inputs: {
      x: trained("batch", "tokens", 12),
      positions: index(8, "batch", "tokens"),
      cos: fixed(8, 2),
      sin: fixed(8, 2),
    },
    dimensions: sequences,
    build: ({ x, positions, cos, sin }) => [rotaryEmbedding(x!, positions!, cos!, sin!)],
  },
  {
    name: "swiglu",
    inputs: { gate: trained("n", 5), up: trained("n", 5) },
    dimensions: rows,
    build: ({ gate, up }) => [swiglu(gate!, up!)],
  },
  {
    name: "weightedSum",
    inputs: { values: trained("n"), weights: trained("n") },
    dimensions: rows,
    build: ({ values, weights }) => [weightedSum(values!, weights!)],
  },
  clipCase("clipByNorm", 1.25),
  clipCase("clipByNorm: within the limit", 1e30),
  {
    name: "adamw",
    inputs: {
      parameters: fixed("n"),
      gradient: fixed("n"),
      first: fixed("n"),
      second: given(["n"], (random, count) => random.gaussians(count).map((value) => value * value)),
      stepSize: given([1], () => [0.2]),
      correction: given([1], () => [0.2]),
      keep: given([1], () => [0.995]),
    },
    dimensions: rows,
    build: (inputs) => {
      const x = use(inputs);
      const [parameters, gradient, first, second] = [x("parameters"), x("gradient"), x("first"), x("second")];
      const factors = { stepSize: x("stepSize"), correction: x("correction"), keep: x("keep") };
      const next = adamw({ parameters, gradient, first, second, ...factors }, { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 });
      return [next.parameters, next.first, next.second];
    },
  },
];
