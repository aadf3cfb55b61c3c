import { type Dimension, product, type Shape } from "../../src/graph/dimension.js";
import type { Tensor } from "../../src/graph/graph.js";
import { adamw } from "../../src/ops/adamw.js";
import { add } from "../../src/ops/add.js";
import { attention } from "../../src/ops/attention.js";
import { attentionBias, QUERIES, type Sight } from "../../src/ops/attention-bias.js";
import { cachedAttention } from "../../src/ops/cached-attention.js";
import { clipByNorm } from "../../src/ops/clip-by-norm.js";
import { crossEntropy } from "../../src/ops/cross-entropy.js";
import { dropout } from "../../src/ops/dropout.js";
import { frozenLayers } from "../../src/ops/frozen-layers.js";
import { frozenLinear } from "../../src/ops/frozen-linear.js";
import { gatherRows } from "../../src/ops/gather-rows.js";
import { geglu } from "../../src/ops/geglu.js";
import { type GeluKind, gelu } from "../../src/ops/gelu.js";
import { inBatchLoss } from "../../src/ops/in-batch-loss.js";
import { l2Normalise } from "../../src/ops/l2-normalise.js";
import { layerNorm } from "../../src/ops/layer-norm.js";
import { linear } from "../../src/ops/linear.js";
import { magnitudeGain } from "../../src/ops/magnitude-gain.js";
import { matrixProduct } from "../../src/ops/matrix-product.js";
import { mul } from "../../src/ops/mul.js";
import { oneHot } from "../../src/ops/one-hot.js";
import { pastAttention } from "../../src/ops/past-attention.js";
import { poolRows } from "../../src/ops/pool-rows.js";
import { reshape } from "../../src/ops/reshape.js";
import { rmsNorm } from "../../src/ops/rms-norm.js";
import { rotaryEmbedding } from "../../src/ops/rotary-embedding.js";
import { rowAdapters } from "../../src/ops/row-adapters.js";
import { rowsFrom } from "../../src/ops/rows-from.js";
import { softCap, tanh } from "../../src/ops/soft-cap.js";
import { splitColumns } from "../../src/ops/split-columns.js";
import { splitRows } from "../../src/ops/split-rows.js";
import { squaredError } from "../../src/ops/squared-error.js";
import { swiglu } from "../../src/ops/swiglu.js";
import { tableRows as chosenRows } from "../../src/ops/table-rows.js";
import { vocabularyLoss } from "../../src/ops/vocabulary-loss.js";
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
  /** The key of its golden in tests/golden/ops/golden.json, unless `whole` names another. */
  readonly name: string;
  /** Where it is computed in parts, the golden is that of the whole, and its extents tell those of the case. */
  readonly whole?: { readonly golden: string; readonly dimensions: (golden: Dimensions) => Dimensions };
  readonly inputs: Readonly<Record<string, CaseInput>>;
  /** Values of the symbolic extents: the smallest, and some for a single run. `drawDimensions` draws others. */
  readonly dimensions: readonly Dimensions[];
  readonly build: (inputs: Readonly<Record<string, Tensor>>) => readonly Tensor[];
}

/** The extent of an axis that a graph writes out: the one that the goldens have, or a drawn one of at least `least`. */
export type Extent = (usual: number, least?: number) => number;

/** Extents up to three above the usual ones. */
export function drawnExtent(random: Random): Extent {
  return (usual, least = 1) => least + random.below(usual + 4 - least);
}

/** The longest sequence drawn; the engine wants rotary tables that are no shorter. */
const TOKENS = 5;
/** The largest values drawn for symbolic extents. */
const largest: Dimensions = { n: 7, pairs: 7, batch: 3, tokens: TOKENS, past: 6, uniforms: 80, [QUERIES]: 3 };
/**
 * Dropout's window, of at most 5 + 7·7 numbers, lies in its table. The gradients of a few keys under many heads may nearly
 * cancel, so that round-off is large beside them: one query a chunk is left to each case's own smallest extents. A pair alone has no
 * gradient.
 */
const least: Dimensions = { pairs: 2, uniforms: 54, [QUERIES]: 2 };

/** Values for the symbolic extents of a case, drawn. */
export function drawDimensions({ dimensions: [first = {}] }: OpCase, random: Random): Dimensions {
  const draw = (name: string): number => {
    const [from, to] = [least[name] ?? 1, largest[name]];
    if (to === undefined) throw new Error(`no range is known for the extent ${name}`);
    return from + random.below(to + 1 - from);
  };
  return Object.fromEntries(Object.keys(first).map((name) => [name, draw(name)]));
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
const segmentsOf: CaseInput["values"] = (_random, count, { batch = 1 }) => {
  const tokens = count / batch;
  return Array.from({ length: count }, (_, at) => Number(at % tokens < Math.max(1, tokens - Math.floor(at / tokens))));
};
const segments = given(["batch", "tokens"], segmentsOf);

const rows = [{ n: 1 }, { n: 7 }];
const sequences = [
  { batch: 1, tokens: 1 },
  { batch: 3, tokens: 5 },
];

function use(inputs: Readonly<Record<string, Tensor>>): (name: string) => Tensor {
  return (name) => {
    const tensor = inputs[name];
    if (tensor === undefined) throw new Error(`the case has no input ${name}`);
    return tensor;
  };
}

type HeadSizes = readonly [shared: number, kvHeads: number, size: number];

/** What tokens see, and how far scores go. */
interface AttentionKind {
  readonly sight?: Sight;
  readonly window?: number;
  readonly softCap?: number;
}

/** `shared` heads read each key-value head. */
function attentionCase(label: string, [shared, kvHeads, size]: HeadSizes, { softCap, ...kind }: AttentionKind): OpCase {
  const heads = shared * kvHeads;
  return {
    name: `attention: ${label}`,
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
      const biases = attentionBias(x("segments"), x("order"), kind);
      return [attention(x("q"), x("k"), x("v"), biases, { heads, kvHeads, scale: 0.7, softCap })];
    },
  };
}

/** The same in chunks of queries. */
function chunkedAttentionCase(chunks: number, label: string, sizes: HeadSizes, { softCap, ...kind }: AttentionKind): OpCase {
  const [shared, kvHeads, size] = sizes;
  const whole = attentionCase(label, sizes, kind);
  const heads = shared * kvHeads;
  const tokens = product(chunks, QUERIES);
  return {
    name: `${whole.name}, in ${chunks} chunks`,
    whole: { golden: whole.name, dimensions: ({ batch = 0, tokens = 0 }) => ({ batch, [QUERIES]: tokens / chunks }) },
    inputs: {
      q: trained("batch", tokens, heads * size),
      k: trained("batch", tokens, kvHeads * size),
      v: trained("batch", tokens, kvHeads * size),
      ...chunkedSequences(chunks),
    },
    dimensions: [
      { batch: 1, [QUERIES]: 1 },
      { batch: 3, [QUERIES]: 3 },
    ],
    build: (inputs) => {
      const x = use(inputs);
      const biases = attentionBias(x("segments"), x("order"), { chunks, ...kind });
      return [attention(x("q"), x("k"), x("v"), biases, { heads, kvHeads, scale: 0.7, softCap })];
    },
  };
}

function attentionCases(label: string, sizes: HeadSizes, kind: AttentionKind = {}): OpCase[] {
  return [attentionCase(label, sizes, kind), ...[2, 4].map((chunks) => chunkedAttentionCase(chunks, label, sizes, kind))];
}

function allAttentionCases(extent: Extent): OpCase[] {
  const sizes = (): HeadSizes => [2, extent(2), extent(2)];
  const [single, grouped, one]: HeadSizes[] = [[1, extent(2), extent(4)], sizes(), [extent(3, 2), 1, extent(2)]];
  return [
    ...attentionCases("2 heads on 2", single!),
    ...attentionCases("4 heads on 2", grouped!),
    ...attentionCases("3 heads on 1", one!),
    ...attentionCases("soft cap", sizes(), { softCap: 2 }),
    ...attentionCases("window", sizes(), { window: 3 }),
    ...attentionCases("both sides", sizes(), { sight: "both" }),
    ...attentionCases("both sides, window and soft cap", [1, extent(2), extent(2)], { sight: "both", window: 2, softCap: 2 }),
  ];
}

/** Rows in parts with stacks of adapters beside two layers, and a single row. */
function rowAdaptersCases(extent: Extent): OpCase[] {
  const [columns, first, second] = [extent(4), extent(3), extent(5)];
  const both = product(2, "ranks");
  const caseOf = (name: string, parts: Shape, rows: Dimension, dimensions: readonly Dimensions[]): OpCase => ({
    name,
    inputs: {
      x: fixed(rows, columns),
      a: fixed(...parts, both, columns),
      ...(parts.length === 0 ? {} : { mask: given([...parts, "members", both], (random, count) => bits(random, count)) }),
      firstB: fixed(...parts, "ranks", first),
      firstAddend: fixed(rows, first),
      secondB: fixed(...parts, "ranks", second),
      secondAddend: fixed(rows, second),
    },
    dimensions,
    build: (inputs) => {
      const x = use(inputs);
      const layers = [
        { b: x("firstB"), addend: x("firstAddend") },
        { b: x("secondB"), addend: x("secondAddend") },
      ];
      return [...rowAdapters({ x: x("x"), a: x("a"), mask: inputs.mask, layers })];
    },
  });
  return [
    caseOf("rowAdapters", ["parts"], product("parts", "members"), [
      { parts: 1, members: 1, ranks: 1 },
      { parts: 3, members: 2, ranks: 2 },
    ]),
    caseOf("rowAdapters: a single row", [], 1, [{ ranks: 1 }, { ranks: 3 }]),
  ];
}

const bits = (random: Random, count: number) => Array.from({ length: count }, () => random.below(2));

/** What attention's masks are made of, for sequences of so many chunks of queries. */
function chunkedSequences(chunks: number): { readonly segments: CaseInput; readonly order: CaseInput } {
  const tokens = product(chunks, QUERIES);
  return { segments: { ...segments, shape: ["batch", tokens] }, order: { ...order, shape: [tokens] } };
}

/** New tokens of some sequences after what a cache holds of them. */
function cachedAttentionCase(label: string, sizes: HeadSizes, { use: cacheUse, softCap }: CachedKind): OpCase {
  const [shared, kvHeads] = sizes;
  const heads = shared * kvHeads;
  const golden = `cachedAttention: ${label}`;
  return {
    ...(cacheUse === "apart"
      ? { name: golden }
      : { name: `${golden}, ${cacheUse}`, whole: { golden, dimensions: (extents: Dimensions) => extents } }),
    inputs: {
      ...cacheAndTokens("batch", "tokens", sizes),
      // Rows of the cache that a shorter sequence does not hold are masked, and what comes later.
      bias: given(["batch", 1, "tokens", "seen"], (_random, count, { tokens = 1, seen = 2 }) =>
        Array.from({ length: count }, (_, at) => {
          const [row, column] = [Math.floor(at / seen) % tokens, at % seen];
          const held = seen - tokens;
          return column < Math.ceil(held / 2) || (column >= held && column - held <= row) ? 0 : -1e30;
        }),
      ),
    },
    dimensions: [
      { batch: 1, tokens: 1, past: 4, seen: 5 },
      { batch: 2, tokens: 3, past: 5, seen: 8 },
    ],
    build: (inputs) => {
      const attributes = { heads, kvHeads, scale: 0.7, softCap, use: cacheUse };
      return [cachedAttention({ ...cachedInputs(inputs), bias: use(inputs)("bias") }, attributes)];
    },
  };
}

interface CachedKind {
  readonly use: "apart" | "joined";
  readonly softCap?: number;
}

/** A single token of a single sequence, which sees all that is fed. */
function oneTokenCase(label: string, sizes: HeadSizes, softCap?: number): OpCase {
  const [shared, kvHeads] = sizes;
  return {
    name: `cachedAttention: ${label}`,
    inputs: cacheAndTokens(1, 1, sizes),
    dimensions: [{ past: 1 }, { past: 5 }],
    build: (inputs) => {
      return [cachedAttention(cachedInputs(inputs), { heads: shared * kvHeads, kvHeads, scale: 0.7, softCap, use: "oneToken" })];
    },
  };
}

function cacheAndTokens(batch: Dimension, tokens: Dimension, [shared, kvHeads, size]: HeadSizes): OpCase["inputs"] {
  const past = fixed("past", batch, kvHeads, size);
  const rows = fixed(batch, tokens, kvHeads * size);
  return { q: fixed(batch, tokens, shared * kvHeads * size), k: rows, v: rows, pastKeys: past, pastValues: past };
}

function cachedInputs(inputs: Readonly<Record<string, Tensor>>) {
  const x = use(inputs);
  return { q: x("q"), k: x("k"), v: x("v"), pastKeys: x("pastKeys"), pastValues: x("pastValues") };
}

function allCachedAttentionCases(extent: Extent): OpCase[] {
  const single = (): HeadSizes => [1, extent(2), extent(2)];
  const grouped = (): HeadSizes => [2, extent(2), extent(2)];
  return [
    ...(["apart", "joined"] as const).flatMap((use) => [
      cachedAttentionCase("2 heads on 2", single(), { use }),
      cachedAttentionCase("4 heads on 2", grouped(), { use }),
      cachedAttentionCase("soft cap", grouped(), { use, softCap: 2 }),
    ]),
    oneTokenCase("one token", grouped()),
    oneTokenCase("one token, soft cap", single(), 2),
  ];
}

/** New tokens after a cache that has the heads first, and whose beginning is padding in every sequence but the first. */
function pastAttentionCase(label: string, [shared, kvHeads, size]: HeadSizes, softCap?: number): OpCase {
  const rows = fixed("batch", "tokens", kvHeads * size);
  const past = fixed("batch", kvHeads, "past", size);
  return {
    name: `pastAttention: ${label}`,
    inputs: {
      q: fixed("batch", "tokens", shared * kvHeads * size),
      k: rows,
      v: rows,
      pastKeys: past,
      pastValues: past,
      bias: given(["batch", 1, "tokens", "seen"], (_random, count, { tokens = 1, seen = 2 }) =>
        Array.from({ length: count }, (_, at) => {
          const [sequence, row, column] = [Math.floor(at / (seen * tokens)), Math.floor(at / seen) % tokens, at % seen];
          const padding = sequence === 0 ? 0 : Math.floor((seen - tokens) / 2);
          return column >= padding && column <= seen - tokens + row ? 0 : -1e30;
        }),
      ),
    },
    dimensions: [
      { batch: 1, tokens: 1, past: 1, seen: 2 },
      { batch: 2, tokens: 3, past: 4, seen: 7 },
    ],
    build: (inputs) => {
      const attributes = { heads: shared * kvHeads, kvHeads, scale: 0.7, softCap };
      const { attended, keys, values } = pastAttention({ ...cachedInputs(inputs), bias: use(inputs)("bias") }, attributes);
      return [attended, keys, values];
    },
  };
}

function linearCases(extent: Extent): OpCase[] {
  const [columns, outputs] = [extent(4), extent(3)];
  const x = trained("n", columns);
  const weight = trained(outputs, columns);
  return [
    { name: "linear", inputs: { x, weight }, dimensions: rows, build: ({ x, weight }) => [linear(x!, weight!)] },
    {
      name: "linear: scaled, with an addend",
      inputs: { x, weight, addend: trained("n", outputs) },
      dimensions: rows,
      build: ({ x, weight, addend }) => [linear(x!, weight!, { scale: 0.5, addend })],
    },
    {
      name: "linear: with a bias",
      inputs: { x, weight, bias: trained(outputs) },
      dimensions: rows,
      build: ({ x, weight, bias }) => [linear(x!, weight!, { addend: bias })],
    },
    {
      // Two readers of x: the sweep writes the sum into the second product.
      name: "linear: two of one input",
      inputs: { x, first: weight, second: trained(extent(2), columns) },
      dimensions: rows,
      build: ({ x, first, second }) => [linear(x!, first!, { scale: 3 }), linear(x!, second!)],
    },
    {
      name: "frozenLinear",
      inputs: { x, weight: fixed(outputs, columns) },
      dimensions: rows,
      build: ({ x, weight }) => [frozenLinear(x!, weight!)],
    },
    {
      name: "frozenLinear: two of one input",
      inputs: { x, first: fixed(outputs, columns), second: fixed(extent(2), columns) },
      dimensions: rows,
      build: ({ x, first, second }) => [frozenLinear(x!, first!), frozenLinear(x!, second!)],
    },
  ];
}

function elementwiseCases(name: string, op: (a: Tensor, b: Tensor) => Tensor, extent: Extent): OpCase[] {
  const columns = extent(4);
  const pair = (label: string, a: Shape, b: Shape, dimensions: readonly Dimensions[]): OpCase => ({
    name: `${name}: ${label}`,
    inputs: { a: trained(...a), b: trained(...b) },
    dimensions,
    build: ({ a, b }) => [op(a!, b!)],
  });
  return [
    pair("equal shapes", ["n", columns], ["n", columns], rows),
    pair("a row", ["n", columns], [columns], rows),
    pair("a column and a row", ["n", 1], [1, columns], rows),
    pair("a scalar", ["n", columns], [], rows),
    pair("one step for all sequences", ["batch", "tokens", extent(2)], [1, "tokens", 1], sequences),
  ];
}

function columnsCase(name: string, pieces: readonly number[], extent: Extent): OpCase {
  const widths = [extent(2), extent(3), extent(1)];
  return {
    name,
    inputs: {
      x: trained(
        "n",
        widths.reduce((sum, width) => sum + width),
      ),
    },
    dimensions: rows,
    build: ({ x }) => {
      const split = splitColumns(x!, widths);
      return pieces.map((piece) => split[piece]!);
    },
  };
}

interface LossKind {
  /** Measuring wants no gradients. */
  readonly differentiable: boolean;
  readonly softCap?: number;
  /** Rank of a matrix beside W. */
  readonly rank?: number;
}

/** The rows of a vocabulary's loss whole and in chunks. */
function lossCases(golden: string, [columns, classes]: readonly [number, number], { differentiable, softCap, rank }: LossKind): OpCase[] {
  return [1, 2, 4].map((chunks) => {
    const n = product(chunks, "n");
    const matrix = differentiable ? trained : fixed;
    return {
      name: chunks === 1 ? golden : `${golden}, in ${chunks} chunks`,
      whole: { golden, dimensions: ({ n = 0 }) => ({ n: n / chunks }) },
      inputs: {
        x: matrix(n, columns),
        weight: matrix(classes, columns),
        targets: index(classes, n),
        ...(rank === undefined ? {} : { factors: matrix(n, rank), table: matrix(classes, rank) }),
      },
      dimensions: [{ n: 1 }, { n: 3 }],
      build: ({ x, weight, targets, factors, table }) => {
        const beside = factors && table && { factors, table };
        return [vocabularyLoss(x!, weight!, targets!, { chunks, differentiable, softCap, beside })];
      },
    } satisfies OpCase;
  });
}

/** Products of matrices either of which may lie transposed. */
function productCases(extent: Extent): OpCase[] {
  const [inner, columns] = [extent(4), extent(3)];
  return [false, true].flatMap((transposeA) =>
    [false, true].map((transposeB): OpCase => {
      const turned = [...(transposeA ? ["a"] : []), ...(transposeB ? ["b"] : [])].join(" and ");
      return {
        name: `matrixProduct${turned === "" ? "" : `: ${turned} transposed`}`,
        inputs: {
          a: transposeA ? trained(inner, "n") : trained("n", inner),
          b: transposeB ? trained(columns, inner) : trained(inner, columns),
        },
        dimensions: rows,
        build: ({ a, b }) => [matrixProduct(a!, b!, { scale: 0.5, transposeA, transposeB })],
      };
    }),
  );
}

function activationCases(extent: Extent): OpCase[] {
  const columns = extent(5);
  const pointwise = (name: string, op: (x: Tensor) => Tensor): OpCase => ({
    name,
    inputs: { x: trained("n", columns) },
    dimensions: rows,
    build: ({ x }) => [op(x!)],
  });
  return [
    ...(["erf", "tanh"] satisfies GeluKind[]).flatMap((kind): OpCase[] => [
      pointwise(`gelu: ${kind}`, (x) => gelu(x, kind)),
      {
        name: `geglu: ${kind}`,
        inputs: { gate: trained("n", columns), up: trained("n", columns) },
        dimensions: rows,
        build: ({ gate, up }) => [geglu(gate!, up!, kind)],
      },
    ]),
    pointwise("tanh", tanh),
    pointwise("softCap", (x) => softCap(x, 1.5)),
  ];
}

function layerNormCases(extent: Extent): OpCase[] {
  const columns = extent(6, 3);
  const x = trained("n", columns);
  const gain = trained(columns);
  return [
    {
      name: "layerNorm",
      inputs: { x, gain, bias: gain },
      dimensions: rows,
      build: ({ x, gain, bias }) => [layerNorm(x!, gain!, bias!, 1e-1)],
    },
    {
      name: "layerNorm: without a bias",
      inputs: { x, gain },
      dimensions: rows,
      build: ({ x, gain }) => [layerNorm(x!, gain!, undefined, 1e-1)],
    },
  ];
}

/** What heads and sentence embeddings are made of. */
function headCases(extent: Extent): OpCase[] {
  const [classes, columns] = [extent(3), extent(4, 2)];
  const [logits, targets] = [trained("n", classes), index(classes, "n")];
  return [
    {
      name: "crossEntropy",
      inputs: { logits, targets },
      dimensions: rows,
      build: ({ logits, targets }) => [crossEntropy(logits!, targets!)],
    },
    {
      name: "crossEntropy: weighted classes",
      inputs: { logits, targets, weights: given([classes], (random, count) => Array.from({ length: count }, () => random.uniform())) },
      dimensions: rows,
      build: ({ logits, targets, weights }) => [crossEntropy(logits!, targets!, weights!)],
    },
    {
      name: "squaredError",
      inputs: { predictions: trained("n"), targets: trained("n") },
      dimensions: rows,
      build: ({ predictions, targets }) => [squaredError(predictions!, targets!)],
    },
    {
      name: "poolRows",
      inputs: { x: trained("n", columns), shares: trained("batch", "n") },
      dimensions: [
        { n: 1, batch: 1 },
        { n: 7, batch: 3 },
      ],
      build: ({ x, shares }) => [poolRows(x!, shares!)],
    },
    {
      // Rows near zero turn faster than finite differences follow.
      name: "l2Normalise",
      inputs: { x: { ...trained("n", columns), values: (random, count) => random.gaussians(count, 1, 2) } },
      dimensions: rows,
      build: ({ x }) => [l2Normalise(x!)],
    },
    {
      name: "inBatchLoss",
      inputs: {
        anchors: trained("pairs", columns),
        positives: trained("pairs", columns),
        candidates: given(["pairs", "pairs"], (random, count) => {
          const isOwn = (at: number) => at % (Math.sqrt(count) + 1) === 0;
          return Array.from(random.gaussians(count), (value, at) => Number(isOwn(at) || value < 1));
        }),
      },
      dimensions: [{ pairs: 2 }, { pairs: 7 }],
      build: ({ anchors, positives, candidates }) => [inBatchLoss(anchors!, positives!, candidates!, { scale: 2 })],
    },
    {
      name: "l2Normalise: zeros",
      inputs: { x: given(["n", columns], (random, count) => random.gaussians(count).fill(0, 0, columns)) },
      dimensions: rows,
      build: ({ x }) => [l2Normalise(x!)],
    },
  ];
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

/** Random squared norms are those of no W, but longer than any change of it. */
function magnitudeGainCase(extent: Extent): OpCase {
  const [outputs, rank] = [extent(5), extent(2)];
  return {
    name: "magnitudeGain",
    inputs: {
      magnitude: trained(outputs),
      a: fixed(rank, extent(4)),
      b: fixed(outputs, rank),
      through: fixed(rank, outputs),
      squares: given([outputs], (_random, count) => Array<number>(count).fill(900)),
    },
    dimensions: [{}],
    build: (inputs) => {
      const x = use(inputs);
      return [magnitudeGain(x("magnitude"), x("a"), x("b"), x("through"), x("squares"), { scale: 1.5 })];
    },
  };
}

/** Every case, with the extents that a graph writes out as `extent` gives them. */
export function casesOf(extent: Extent): readonly OpCase[] {
  const droppedColumns = extent(4);
  const [tableRows, tableColumns, shownRows] = [extent(5), extent(3), extent(3)];
  const [heads, half] = [extent(2), extent(3)];
  // Few columns near zero bend more than finite differences follow.
  const normed = extent(6, 3);
  const rowHeights = [extent(2), extent(1)] as const;
  const [rotated, positions, angles] = [extent(3), extent(8, TOKENS), extent(2)];
  const gated = extent(5);
  const vocabulary = [extent(4), extent(9)] as const;
  const tableRank = extent(2);
  return [
    ...elementwiseCases("add", add, extent),
    ...elementwiseCases("mul", mul, extent),
    ...linearCases(extent),
    columnsCase("splitColumns", [0, 1, 2], extent),
    columnsCase("splitColumns: one piece without a reader", [0, 2], extent),
    ...allAttentionCases(extent),
    ...allCachedAttentionCases(extent),
    pastAttentionCase("2 heads on 2", [1, extent(2), extent(2)]),
    pastAttentionCase("4 heads on 2, soft cap", [2, extent(2), extent(2)], 2),
    {
      name: "frozenLayers",
      inputs: { x: fixed("n", extent(4)), first: fixed(extent(5), extent(4)), second: fixed(extent(2), extent(4)) },
      dimensions: rows,
      build: ({ x, first, second }) => frozenLayers(x!, [first!, second!]),
    },
    ...rowAdaptersCases(extent),
    {
      name: "attentionBias",
      inputs: { segments, order },
      dimensions: sequences,
      build: ({ segments, order }) => attentionBias(segments!, order!),
    },
    {
      name: "attentionBias: in 2 chunks",
      inputs: chunkedSequences(2),
      dimensions: [
        { batch: 1, [QUERIES]: 1 },
        { batch: 3, [QUERIES]: 3 },
      ],
      build: ({ segments, order }) => attentionBias(segments!, order!, { chunks: 2 }),
    },
    ...lossCases("vocabularyLoss", vocabulary, { differentiable: true }),
    ...lossCases("vocabularyLoss: measured", vocabulary, { differentiable: false }),
    ...lossCases("vocabularyLoss: soft cap", vocabulary, { differentiable: true, softCap: 2 }),
    ...lossCases("vocabularyLoss: low rank", vocabulary, { differentiable: true, rank: tableRank }),
    ...lossCases("vocabularyLoss: low rank, measured", vocabulary, { differentiable: false, rank: tableRank }),
    ...lossCases("vocabularyLoss: low rank, soft cap", vocabulary, { differentiable: true, softCap: 2, rank: tableRank }),
    ...productCases(extent),
    {
      name: "tableRows",
      inputs: { table: fixed(5, tableColumns) },
      dimensions: [{}],
      build: ({ table }) => [chosenRows(table!, [4, 0, 4])],
    },
    {
      name: "oneHot",
      inputs: { x: given(["n", 1], (random, count) => Array.from({ length: count }, () => random.below(5) - 1)) },
      dimensions: rows,
      build: ({ x }) => [oneHot(x!, 3)],
    },
    {
      name: "dropout",
      inputs: {
        x: trained("n", droppedColumns),
        table: given(["uniforms"], (random, count) => Array.from({ length: count }, () => random.uniform())),
        start: given([1], () => [windowStart], "int64"),
        end: given([1], (_random, _count, { n = 1 }) => [windowStart + droppedColumns * n], "int64"),
      },
      dimensions: [
        { n: 1, uniforms: 20 },
        { n: 7, uniforms: 50 },
      ],
      build: ({ x, table, start, end }) => [dropout(x!, table!, start!, end!, dropoutRate)],
    },
    {
      name: "gatherRows",
      inputs: { table: trained(tableRows, tableColumns), index: index(tableRows, "n") },
      dimensions: rows,
      build: ({ table, index }) => [gatherRows(table!, index!)],
    },
    {
      name: "gatherRows: an index for each token",
      whole: { golden: "gatherRows", dimensions: ({ n = 0 }) => ({ batch: 2, tokens: n / 2 }) },
      inputs: { table: trained(tableRows, tableColumns), index: index(tableRows, "batch", "tokens") },
      dimensions: sequences,
      build: ({ table, index }) => [gatherRows(table!, index!)],
    },
    {
      name: "rowsFrom",
      inputs: { x: trained(2 + shownRows, tableColumns) },
      dimensions: rows,
      build: ({ x }) => [rowsFrom(x!, 2)],
    },
    {
      name: "reshape: to rows",
      inputs: { x: trained("batch", "tokens", heads * half) },
      dimensions: sequences,
      build: ({ x }) => [reshape(x!, ["batch*tokens", heads * half])],
    },
    {
      name: "reshape: to heads",
      inputs: { x: trained("batch*tokens", heads * half) },
      dimensions: sequences,
      build: ({ x }) => [reshape(x!, ["batch", "tokens", heads, half])],
    },
    {
      name: "rmsNorm",
      inputs: { x: trained("n", normed), gain: trained(normed) },
      dimensions: rows,
      build: ({ x, gain }) => [rmsNorm(x!, gain!, 1e-2)],
    },
    {
      name: "rotaryEmbedding",
      inputs: {
        x: trained("batch", "tokens", rotated * 2 * angles),
        positions: index(positions, "batch", "tokens"),
        cos: fixed(positions, angles),
        sin: fixed(positions, angles),
      },
      dimensions: sequences,
      build: ({ x, positions, cos, sin }) => [rotaryEmbedding(x!, positions!, cos!, sin!)],
    },
    {
      name: "rotaryEmbedding: a part of each head",
      inputs: {
        x: trained("batch", "tokens", rotated * (2 * angles + 2)),
        positions: index(positions, "batch", "tokens"),
        cos: fixed(positions, angles),
        sin: fixed(positions, angles),
      },
      dimensions: sequences,
      build: ({ x, positions, cos, sin }) => [rotaryEmbedding(x!, positions!, cos!, sin!, 2 * angles + 2)],
    },
    {
      name: "swiglu",
      inputs: { gate: trained("n", gated), up: trained("n", gated) },
      dimensions: rows,
      build: ({ gate, up }) => [swiglu(gate!, up!)],
    },
    {
      name: "weightedSum",
      inputs: { values: trained("n"), weights: trained("n") },
      dimensions: rows,
      build: ({ values, weights }) => [weightedSum(values!, weights!)],
    },
    ...layerNormCases(extent),
    ...activationCases(extent),
    ...headCases(extent),
    clipCase("clipByNorm", 1.25),
    clipCase("clipByNorm: within the limit", 1e30),
    {
      name: "splitRows",
      inputs: { x: fixed(rowHeights[0] + rowHeights[1], tableColumns) },
      dimensions: [{}],
      build: ({ x }) => splitRows(x!, rowHeights),
    },
    magnitudeGainCase(extent),
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
}

/** The cases with the extents of the goldens. */
export const opCases = casesOf((usual) => usual);
