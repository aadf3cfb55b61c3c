import type { Batch } from "../data/batch.js";
import { createRandom, type Random } from "../data/random.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { orthonormalColumns, product, transposed, transposedProduct } from "../lora/kernels/products.js";
import { largestEigenvectors, OVERSAMPLING } from "../lora/singular-vectors.js";
import type { InputDirections } from "../lora/variants/variant.js";
import { add } from "../ops/add.js";
import { gatherRows } from "../ops/gather-rows.js";
import { matrixProduct } from "../ops/matrix-product.js";
import { mul } from "../ops/mul.js";
import type { Engine, HostData } from "../runtime/engine.js";
import { type CompileOptions, Program } from "../runtime/program.js";
import { batchDimensions, sequenceFeeds } from "./gradient-program.js";
import { hiddenStates } from "./objectives/hidden-states.js";
import { SUPERVISED } from "./objectives/objective.js";
import { buildSequenceGraph, type Task } from "./sequence-graph.js";

/** What is looked at, and how closely. */
export interface DirectionsRequest extends Pick<Task, "model"> {
  /** Their learned places are those that are looked at. */
  readonly batches: readonly Batch[];
  /** Longest row of the batches. */
  readonly maxTokens: number;
  /** Directions that are wanted of what a group of layers reads, by the name of the group's first layer. */
  readonly counts: ReadonlyMap<string, number>;
  /** Passes over the batches behind the first, closer with each; 0 for the exact directions. */
  readonly rounds: number;
  readonly seed: number;
  /** Awaited before each batch of each pass with the number of those done, of `total`; it ends the work by throwing. */
  readonly pause: (done: number, total: number) => Promise<void>;
}

/**
 * The principal directions of what the frozen layers of a model read at the learned places of some batches, by the name of each group's
 * first layer. Subspace iteration (Halko et al. 2011, algorithms 4.4 and 5.3) on the covariance, which is never formed: a pass of the
 * model over the batches multiplies it by the basis, so that memory is a few directions of each input. The first pass finds the mean. A
 * direction points where its largest element is positive, as in PEFT's `IncrementalPCA`.
 */
export async function inputDirections(
  engine: Engine,
  request: DirectionsRequest,
  compile: CompileOptions,
): Promise<ReadonlyMap<string, InputDirections>> {
  const { graph, widths } = buildMomentsGraph(request);
  const subspaces = new Map([...widths].map(([name, width]) => [name, new Subspace(name, width, request)]));
  const program = await Program.compile(graph, engine, compile);
  const passes = 2 + Math.max(0, request.rounds - 1);
  const total = passes * request.batches.length;
  let done = 0;
  try {
    for (let pass = 0; pass < passes; pass++) {
      for (const batch of request.batches) {
        await request.pause(done++, total);
        const feeds: Record<string, HostData> = {
          ...sequenceFeeds(batch, request.model),
          kept: batch.weights.map((weight) => Number(weight > 0)),
        };
        for (const subspace of subspaces.values()) Object.assign(feeds, subspace.feeds());
        const outputs = await program.run(feeds, batchDimensions(batch));
        for (const subspace of subspaces.values()) subspace.add((name) => outputs[name]?.data, batch.supervisedCount);
      }
      for (const subspace of subspaces.values()) subspace.turn(pass === passes - 1);
    }
  } finally {
    await program.release();
  }
  return new Map([...subspaces].map(([name, subspace]) => [name, subspace.directions()]));
}

/** Names of a group's inputs and outputs in the graph. */
const named = (group: string) => ({
  centre: `centre:${group}`,
  basis: `basis:${group}`,
  sum: `sum:${group}`,
  squares: `squares:${group}`,
  moved: `moved:${group}`,
});

/** For each group whose input x [S, C] is looked at, behind its centre c: Σ(x − c), Σ(x − c)², and (x − c)ᵀ·(x − c)·Q for a basis Q. */
function buildMomentsGraph({ model, maxTokens, counts, rounds }: DirectionsRequest) {
  const read = new Map<string, Tensor>();
  const { graph } = buildSequenceGraph({
    model,
    objective: hiddenStates,
    maxTokens,
    onLayerInput: (x, group) => {
      const first = group[0]?.name ?? "";
      if (counts.has(first)) read.set(first, x);
    },
  });
  const rows = graph.input("rows", { dtype: "int64", shape: [SUPERVISED] });
  const kept = graph.input("kept", { dtype: "float32", shape: [SUPERVISED, 1] }); // 0 in padding
  const widths = new Map<string, { inputs: number; width: number }>();
  for (const [group, x] of read) {
    const inputs = Number(x.shape[1]);
    const width = rounds === 0 ? inputs : Math.min((counts.get(group) ?? 0) + OVERSAMPLING, inputs);
    writeMoments(graph, group, { x: gatherRows(x, rows), kept, inputs, width });
    widths.set(group, { inputs, width });
  }
  return { graph, widths };
}

interface Looked {
  readonly x: Tensor; // [S, C]
  readonly kept: Tensor; // [S, 1]
  readonly inputs: number;
  readonly width: number;
}

function writeMoments(graph: Graph, group: string, { x, kept, inputs, width }: Looked): void {
  const names = named(group);
  const centre = graph.input(names.centre, { dtype: "float32", shape: [inputs] });
  const basis = graph.input(names.basis, { dtype: "float32", shape: [inputs, width] });
  const centred = mul(add(x, mul(centre, graph.scalar(-1))), kept); // [S, C]
  graph.output(names.sum, matrixProduct(kept, centred, { transposeA: true })); // [1, C]
  graph.output(names.squares, matrixProduct(kept, mul(centred, centred), { transposeA: true })); // [1, C]
  graph.output(names.moved, matrixProduct(centred, matrixProduct(centred, basis), { transposeA: true })); // [C, width]
}

/** The directions of one input, as they come closer. */
class Subspace {
  readonly #group: string;
  readonly #inputs: number;
  readonly #width: number;
  readonly #count: number;
  #basis: Float32Array; // [inputs, width], orthonormal columns
  #centre: Float32Array;
  #rows = 0;
  #sum: Float64Array;
  #squares = 0;
  #moved: Float64Array;
  #found: InputDirections | undefined;

  constructor(
    group: string,
    { inputs, width }: { readonly inputs: number; readonly width: number },
    { counts, rounds, seed }: DirectionsRequest,
  ) {
    this.#group = group;
    [this.#inputs, this.#width, this.#count] = [inputs, width, counts.get(group) ?? 0];
    const start = rounds === 0 ? identity(inputs) : randomBasis(createRandom(seed, `directions/${group}`), inputs, width);
    this.#basis = Float32Array.from(start);
    this.#centre = new Float32Array(inputs);
    this.#sum = new Float64Array(inputs);
    this.#moved = new Float64Array(inputs * width);
  }

  feeds(): Record<string, HostData> {
    const { centre, basis } = named(this.#group);
    return { [centre]: this.#centre, [basis]: this.#basis };
  }

  /** Takes in what a batch of so many looked-at places gave. */
  add(output: (name: string) => unknown, rows: number): void {
    const names = named(this.#group);
    this.#rows += rows;
    addInto(this.#sum, output(names.sum));
    const squares = new Float64Array(this.#inputs);
    addInto(squares, output(names.squares));
    this.#squares += squares.reduce((sum, value) => sum + value, 0);
    addInto(this.#moved, output(names.moved));
  }

  /** Ends a pass: the mean is known behind the first, the basis turns to the largest directions with each, and the last one gives them. */
  turn(isLast: boolean): void {
    if (isLast) this.#found = this.#ritz();
    else if (this.#width < this.#inputs) {
      this.#basis = Float32Array.from(orthonormalColumns(this.#moved, this.#inputs, this.#width, this.#width));
    }
    this.#centre = this.#centre.map((value, index) => value + (this.#sum[index] ?? 0) / this.#rows);
    [this.#rows, this.#squares] = [0, 0];
    this.#sum.fill(0);
    this.#moved.fill(0);
  }

  directions(): InputDirections {
    if (this.#found === undefined) throw new Error(`no pass has ended over what ${this.#group} reads`);
    return this.#found;
  }

  /** The eigenvectors of the covariance within the basis: Rayleigh and Ritz. */
  #ritz(): InputDirections {
    const [inputs, width, count] = [this.#inputs, this.#width, this.#count];
    const inner = transposedProduct(this.#basis, this.#moved, inputs, width, width); // Qᵀ·C·Q
    const symmetric = inner.map((value, at) => (value + (inner[(at % width) * width + Math.floor(at / width)] ?? 0)) / 2);
    const { values, vectors } = largestEigenvectors(symmetric, width, count); // roots [count], [width, count]
    const directions = transposed(product(this.#basis, vectors, inputs, width, count), inputs, count); // [count, inputs]
    for (let row = 0; row < count; row++) pointUp(directions.subarray(row * inputs, (row + 1) * inputs));
    const shares = values.map((root) => (this.#squares === 0 ? 0 : root ** 2 / this.#squares));
    return { directions: Float32Array.from(directions), shares };
  }
}

/** Turns a vector so that its largest element is positive. */
function pointUp(vector: Float64Array): void {
  const largest = vector.reduce((found, value) => (Math.abs(value) > Math.abs(found) ? value : found), 0);
  if (largest < 0) for (let index = 0; index < vector.length; index++) vector[index] = -(vector[index] ?? 0);
}

function addInto(sum: Float64Array, values: unknown): void {
  if (!(values instanceof Float32Array) || values.length !== sum.length) throw new Error("the program returned no such sums");
  values.forEach((value, index) => {
    sum[index] = (sum[index] ?? 0) + value;
  });
}

function identity(size: number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, at) => Number(at % (size + 1) === 0));
}

function randomBasis(random: Random, rows: number, columns: number): Float64Array {
  const start = Float64Array.from({ length: rows * columns }, () => random.normal());
  return orthonormalColumns(start, rows, columns, columns);
}
