import { product, type Shape } from "../graph/dimension.js";
import { apply, applyAll, type Tensor } from "../graph/graph.js";
import { type Cost, defineOp, type Emitter, everywhere, float32, type TensorType } from "../graph/op.js";
import { chunksOf } from "./chunks.js";
import { binary, concat, matMul, reduceSum, reshapeTo, softmax, splitEvenly, transpose } from "./engine-nodes.js";
import { capped, throughTanh } from "./soft-cap.js";
import { count, expectEqual, extent, fixed, input } from "./types.js";

export interface AttentionAttributes {
  readonly heads: number;
  /** Grouped-query attention (Ainslie et al. 2023): head h reads key-value head ⌊h / (heads / kvHeads)⌋. */
  readonly kvHeads: number;
  /** Factor on the scores, 1/√D. */
  readonly scale: number;
  /** Scores z become c·tanh(z/c) before they are masked (Gemma Team 2024, "Gemma 2", section 2). */
  readonly softCap?: number | undefined;
}

// O = softmax(s·Q·Kᵀ + bias)·V                                              Vaswani et al. 2017, eq. 1
//
// In chunks of queries, so that the scores of one chunk live at a time. Where tokens see only earlier ones, a chunk reads only the
// keys up to its own end: with C chunks (C + 1) / 2C of the scores are computed.
const attentionOp = defineOp<AttentionAttributes>({
  name: "Attention",
  infer: (types, { heads, kvHeads }) => {
    const q = input("Attention", types, 0, 3);
    const k = input("Attention", types, 1, 3);
    const v = input("Attention", types, 2, 3);
    input("Attention", types, 3, 4);
    if (heads % kvHeads !== 0) throw new Error(`Attention: ${heads} heads do not share ${kvHeads} key-value heads evenly`);
    expectEqual(
      "Attention",
      "head sizes",
      fixed("Attention", extent(q.shape, 2)) / heads,
      fixed("Attention", extent(k.shape, 2)) / kvHeads,
    );
    expectEqual("Attention", "columns of k and v", extent(k.shape, 2), extent(v.shape, 2));
    partsSeen(types.slice(3));
    return [float32(...q.shape)]; // [B, T, H·D]
  },
  gradient: ({ inputs: [q, k, v, ...biases], outputs: [output], dys: [dy], attributes }) =>
    applyAll(attentionGradientOp, [q, k, v, output, dy, ...biases], attributes),
  lower: everywhere((e, { inputs: [q = "", k = "", v = "", ...biases], attributes, types }) => {
    const shapes = chunkShapes(attributes, types[0]?.shape, types[3]?.shape);
    const seen = partsSeen(types.slice(3));
    const keys = prefixes(e, splitHeads(e, k, attributes.kvHeads), seen, shapes); // [B, K, parts·Q, D]
    const values = prefixes(e, splitHeads(e, v, attributes.kvHeads), seen, shapes);
    const outputs = splitEvenly(e, q, biases.length, 1, shapes.part).map((queries, chunk) => {
      const grouped = groupedHeads(e, queries, attributes, shapes.grouped);
      const { weights } = probabilities(e, grouped, keys[chunk] ?? "", biases[chunk] ?? "", attributes, shapes.scores(seen[chunk] ?? 0));
      return mergeGroups(e, matMul(e, weights, values[chunk] ?? ""), attributes, shapes.heads); // [B, Q, H·D]
    });
    return concat(e, outputs, 1);
  }),
  // Two products over all pairs of tokens; scores before and after each step, and the heads' copies of q, k and v.
  cost: (shapes, attributes) => attentionCost(shapes, attributes, { products: 2, scores: 2, copies: 1 }),
});

// P is computed again: it is T/D times larger than what makes it.
// V̄ = Pᵀ·Ō;  S̄ = P ⊙ (Ō·Vᵀ − rowsum(Ō ⊙ O));  Q̄ = s·S̄·K,  K̄ = s·S̄ᵀ·Q      (rowsum as in Dao et al. 2022, eq. 4)
// With a soft cap, S̄ is also multiplied by its slope.
const attentionGradientOp = defineOp<AttentionAttributes>({
  name: "AttentionGradient",
  infer: (types) => [0, 1, 2].map((index) => float32(...input("AttentionGradient", types, index, 3).shape)),
  gradient: "noGradient",
  lower: everywhere((e, { inputs: [q = "", k = "", v = "", output = "", dy = "", ...biases], attributes, types }) => {
    const { kvHeads, scale } = attributes;
    const chunks = biases.length;
    const shapes = chunkShapes(attributes, types[0]?.shape, types[5]?.shape);
    const seen = partsSeen(types.slice(5));
    const keys = prefixes(e, splitHeads(e, k, kvHeads), seen, shapes); // [B, K, parts·Q, D]
    const values = prefixes(e, splitHeads(e, v, kvHeads), seen, shapes);
    const outputs = splitEvenly(e, output, chunks, 1, shapes.part);
    const dOutputs = splitEvenly(e, dy, chunks, 1, shapes.part);
    const parts = splitEvenly(e, q, chunks, 1, shapes.part).map((part, chunk) => {
      const [key = "", value = "", parts = 0] = [keys[chunk], values[chunk], seen[chunk]];
      const queries = groupedHeads(e, part, attributes, shapes.grouped); // [B, K, G·Q, D]
      const { weights, tanh } = probabilities(e, queries, key, biases[chunk] ?? "", attributes, shapes.scores(parts)); // [B, K, G·Q, parts·Q]
      const dOutput = groupedHeads(e, dOutputs[chunk] ?? "", attributes, shapes.grouped); // [B, K, G·Q, D]
      const grouped = groupedHeads(e, outputs[chunk] ?? "", attributes, shapes.grouped);
      const dot = reduceSum(e, binary(e, "Mul", dOutput, grouped), [3], true); // [B, K, G·Q, 1]
      const dWeights = matMul(e, dOutput, value, { transposeB: true });
      const dCapped = binary(e, "Mul", weights, binary(e, "Sub", dWeights, dot));
      const dScores = tanh === undefined ? dCapped : throughTanh(e, dCapped, tanh);
      return piecesOf(e, attributes, parts, shapes, {
        query: matMul(e, dScores, key, { scale }), // [B, K, G·Q, D]
        key: matMul(e, dScores, queries, { transposeA: true, scale }), // [B, K, parts·Q, D]
        value: matMul(e, weights, dOutput, { transposeA: true }),
      });
    });
    const queries = parts.map(({ query }) => mergeGroups(e, query, attributes, shapes.heads));
    const sums = (gradients: readonly (readonly string[])[]) => mergeHeads(e, sumOfPrefixes(e, gradients, shapes.whole));
    return [concat(e, queries, 1), sums(parts.map(({ key }) => key)), sums(parts.map(({ value }) => value))];
  }),
  // P again and four products more; P, the gradient of P and that of the scores, beside the tanh and the slope of a soft cap;
  // copies of q, k, v, O and its gradient.
  cost: ([q = [], k = [], v = [], , , ...biases], attributes) =>
    attentionCost([q, k, v, ...biases], attributes, { products: 5, scores: attributes.softCap === undefined ? 3 : 5, copies: 2 }),
});

/** Shapes of a chunk's values. The engine cannot divide symbols, and plans slowly where it does not know a shape. */
interface ChunkShapes {
  readonly part: Shape; // [B, Q, H·D]
  readonly heads: Shape; // [B, H, Q, D]
  readonly grouped: Shape; // [B, K, G·Q, D]
  readonly whole: Shape; // [B, K, T, D]
  /** Keys or values of some parts, [B, K, parts·Q, D]. */
  keys(parts: number): Shape;
  /** Of a chunk's queries with the keys of some parts. */
  scores(parts: number): ScoreShapes;
}

interface ScoreShapes {
  readonly grouped: Shape; // [B, K, G·Q, parts·Q]
  readonly apart: Shape; // [B, H, Q, parts·Q]
}

/** @param q [B, T, H·D]; @param bias of the first chunk, [B, 1, Q, Q] */
function chunkShapes({ heads, kvHeads }: AttentionAttributes, q: Shape = [], bias: Shape = []): ChunkShapes {
  const [batch, tokens, queries] = [extent(q, 0), extent(q, 1), extent(bias, 2)];
  const size = fixed("Attention", extent(q, 2)) / heads;
  const keys = (parts: number): Shape => [batch, kvHeads, product(parts, queries), size];
  return {
    part: [batch, queries, heads * size],
    heads: [batch, heads, queries, size],
    grouped: keys(heads / kvHeads),
    whole: [batch, kvHeads, tokens, size],
    keys,
    scores: (parts) => ({
      grouped: [batch, kvHeads, product(heads / kvHeads, queries), product(parts, queries)],
      apart: [batch, heads, queries, product(parts, queries)],
    }),
  };
}

/** How many parts of Q keys each chunk of Q queries sees, by the masks: those up to its own, or all; throws for other masks. */
function partsSeen(biases: readonly (TensorType | undefined)[]): readonly number[] {
  return biases.map((bias, chunk) => {
    const [queries, keys] = [extent(bias?.shape ?? [], 2), extent(bias?.shape ?? [], 3)];
    const parts = [chunk + 1, biases.length].find((count) => product(count, queries) === keys);
    if (parts === undefined)
      throw new Error(`Attention: chunk ${chunk} of ${biases.length} has a mask of ${queries} queries and ${keys} keys`);
    return parts;
  });
}

/** The beginnings of the tokens that chunks see, each of so many of the equal parts of x [B, K, T, D]. */
function prefixes(e: Emitter, x: string, seen: readonly number[], { keys }: ChunkShapes): readonly string[] {
  const parts = seen.length;
  if (seen.every((count) => count === parts)) return seen.map(() => x);
  const pieces = splitEvenly(e, x, parts, 2, keys(1));
  return seen.map((count) => (count === parts ? x : concat(e, pieces.slice(0, count), 2, keys(count))));
}

/**
 * Gradients of one chunk, those of the keys and values in pieces of Q tokens. They are joined and cut again, which costs a
 * copy: as one value, they make the engine be done with one chunk before it begins another.
 */
function piecesOf(
  e: Emitter,
  { heads, kvHeads }: AttentionAttributes,
  prefix: number,
  { keys, grouped }: ChunkShapes,
  { query, key, value }: { readonly query: string; readonly key: string; readonly value: string },
): { readonly query: string; readonly key: readonly string[]; readonly value: readonly string[] } {
  const shared = heads / kvHeads;
  const count = shared + 2 * prefix;
  const pieces = splitEvenly(e, concat(e, [query, key, value], 2, keys(count)), count, 2, keys(1)); // [B, K, Q, D] each
  return {
    query: concat(e, pieces.slice(0, shared), 2, grouped),
    key: pieces.slice(shared, shared + prefix),
    value: pieces.slice(shared + prefix),
  };
}

/** The sum of values over beginnings of the tokens: what `prefixes` gave to chunks, their gradients bring back. */
function sumOfPrefixes(e: Emitter, sums: readonly (readonly string[])[], whole: Shape): string {
  const totals = sums.map((_, place) => sums.flatMap((pieces) => pieces[place] ?? []).reduce((sum, piece) => binary(e, "Add", sum, piece)));
  return concat(e, totals, 2, whole);
}

/** Products of [Q, D] and [D, keys] for each chunk and head; the largest chunk's scores; copies of the inputs. */
function attentionCost(
  [[batch = 0, tokens = 0, columns = 0] = [], k = [], , ...biases]: readonly (readonly number[])[],
  { heads }: AttentionAttributes,
  { products, scores, copies }: { readonly products: number; readonly scores: number; readonly copies: number },
): Cost {
  const pairs = biases.map((bias) => (bias[2] ?? 0) * (bias[3] ?? 0));
  const inputs = batch * tokens * columns + 2 * count(k);
  return {
    flops: products * 2 * batch * columns * pairs.reduce((sum, some) => sum + some, 0),
    scratch: scores * batch * heads * Math.max(...pairs) + copies * inputs,
  };
}

/** Queries of about this number are a chunk. */
const QUERIES_PER_CHUNK = 128;

/** How many chunks the queries of sequences of up to `tokens` tokens are computed in; it divides every length of a batch's rows. */
export const attentionChunks = (tokens: number): number => chunksOf(tokens, QUERIES_PER_CHUNK);

/** Long sequences are worth the engine's time for more nodes where a chunk would have more queries than this. */
const QUERIES_PER_LONG_CHUNK = 256;

/** The most chunks that pay: 32 are no faster than 16 at 4096 tokens. */
const MOST_CHUNKS = 16;

/** As many chunks as make training on long sequences fastest. Rows have to be padded to a multiple of them first. */
export const finerAttentionChunks = (tokens: number): number =>
  Math.max(attentionChunks(tokens), chunksOf(tokens, QUERIES_PER_LONG_CHUNK, MOST_CHUNKS));

/** [B, T, K·D] → [B, K, T, D]. */
export function splitHeads(e: Emitter, x: string, heads: number): string {
  return transpose(e, reshapeTo(e, x, [0, 0, heads, -1]), [0, 2, 1, 3]);
}

/** [B, T, H·D] → [B, K, G·T, D]: the G heads that share a key-value head stand under each other, so that no key is repeated. */
export function groupedHeads(e: Emitter, x: string, { heads, kvHeads }: AttentionAttributes, shape?: Shape): string {
  const split = splitHeads(e, x, heads); // [B, H, T, D]
  return heads === kvHeads ? split : reshapeTo(e, split, [0, kvHeads, -1, 0], shape);
}

/** [B, K, T, D] → [B, T, K·D]. */
function mergeHeads(e: Emitter, x: string): string {
  return reshapeTo(e, transpose(e, x, [0, 2, 1, 3]), [0, 0, -1]);
}

/** [B, K, G·T, D] → [B, T, H·D]. */
export function mergeGroups(e: Emitter, x: string, { heads, kvHeads }: AttentionAttributes, shape?: Shape): string {
  return mergeHeads(e, heads === kvHeads ? x : reshapeTo(e, x, [0, heads, -1, 0], shape));
}

/**
 * softmax(s·q·kᵀ + bias) of a chunk's queries before the keys of some parts [B, K, G·Q, parts·Q], and the tanh of a soft cap; each
 * head's rows have the same bias.
 */
export function probabilities(
  e: Emitter,
  queries: string,
  keys: string,
  bias: string,
  { heads, kvHeads, scale, softCap }: AttentionAttributes,
  { grouped, apart }: ScoreShapes,
): { readonly weights: string; readonly tanh: string | undefined } {
  const products = matMul(e, queries, keys, { transposeB: true, scale: scale / (softCap ?? 1) });
  const { values: scores, tanh } = capped(e, products, softCap);
  if (heads === kvHeads) return { weights: softmax(e, binary(e, "Add", scores, bias)), tanh };
  const masked = binary(e, "Add", reshapeTo(e, scores, [0, heads, -1, 0], apart), bias);
  return { weights: softmax(e, reshapeTo(e, masked, [0, kvHeads, -1, 0], grouped)), tanh };
}

/** q [B, T, H·D], k and v [B, T, K·D], the biases of `attentionBias`, one a chunk → [B, T, H·D]. */
export const attention = (q: Tensor, k: Tensor, v: Tensor, biases: readonly Tensor[], attributes: AttentionAttributes): Tensor =>
  apply(attentionOp, [q, k, v, ...biases], attributes);
