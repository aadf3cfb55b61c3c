import { evaluate, product } from "../../src/graph/dimension.js";
import { dependents } from "../../src/graph/gradients.js";
import { Graph, reachable, type Tensor } from "../../src/graph/graph.js";
import { add } from "../../src/ops/add.js";
import { gradients } from "../../src/ops/gradients.js";
import { reshape } from "../../src/ops/reshape.js";
import { weightedSum } from "../../src/ops/weighted-sum.js";
import type { Engine, HostData, SessionSettings } from "../../src/runtime/engine.js";
import { Program } from "../../src/runtime/program.js";
import { Random } from "../support/random.js";
import type { CaseInput, Dimensions, OpCase } from "./cases.js";

export type Feeds = Readonly<Record<string, HostData>>;

/** A case as a graph: outputs `output:i`; where gradients flow, `gradient:name` of Σᵢ cotangentᵢ·outputᵢ, cotangents being inputs. */
export interface CaseGraph {
  readonly graph: Graph;
  readonly trained: readonly string[];
  /** Inputs `cotangent:i`. */
  readonly cotangents: readonly string[];
  /** Names of the operations that the gradients were taken through. */
  readonly differentiated: ReadonlySet<string>;
  /** Names of all operations that are lowered. */
  readonly lowered: ReadonlySet<string>;
}

export function buildCase({ inputs, build }: OpCase): CaseGraph {
  const graph = new Graph();
  const tensors = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, dtype = "float32" }]) => [name, graph.input(name, { dtype, shape })]),
  );
  const outputs = build(tensors);
  for (const [index, output] of outputs.entries()) graph.output(`output:${index}`, output);
  const trained = Object.keys(inputs).filter((name) => inputs[name]?.trained);
  const roots = trained.map((name) => graph.inputs.get(name) as Tensor);
  const changed = dependents(graph, roots);
  const differentiated = graph.nodes.filter((node) => node.outputs.some((output) => changed.has(output))).map(({ op }) => op.name);

  const cotangents = trained.length === 0 ? [] : outputs.map((_, index) => `cotangent:${index}`);
  if (trained.length > 0) {
    const terms = outputs.map((output, index) => {
      const count = [product(...output.shape)];
      return weightedSum(reshape(output, count), graph.input(`cotangent:${index}`, { dtype: "float32", shape: count }));
    });
    const found = gradients(terms.reduce(add), roots);
    for (const [index, gradient] of found.entries()) graph.output(`gradient:${trained[index]}`, gradient);
  }
  const lowered = reachable(graph, graph.outputs.values()).map(({ op }) => op.name);
  return { graph, trained, cotangents, differentiated: new Set(differentiated), lowered: new Set(lowered) };
}

/** The same case with its outputs alone: what finite differences run. */
export function buildForward({ inputs, build }: OpCase): Graph {
  const graph = new Graph();
  const tensors = Object.entries(inputs).map(
    ([name, { shape, dtype = "float32" }]) => [name, graph.input(name, { dtype, shape })] as const,
  );
  for (const [index, output] of build(Object.fromEntries(tensors)).entries()) graph.output(`output:${index}`, output);
  return graph;
}

export function compileCase(graph: Graph, engine: Engine, settings: SessionSettings): Promise<Program> {
  const weights = () => {
    throw new Error("a case has no weights");
  };
  return Program.compile(graph, engine, { ...settings, weights });
}

/** Seeded values for every input of the graph, cotangents included. */
export function drawFeeds({ inputs }: OpCase, { graph, cotangents }: CaseGraph, dimensions: Dimensions, seed: number): Feeds {
  const random = new Random(seed);
  const feeds: Record<string, HostData> = {};
  for (const [name, input] of Object.entries(inputs)) feeds[name] = hostData(input, drawn(input, random, dimensions));
  for (const name of cotangents) feeds[name] = random.gaussians(countOf(graph.inputs.get(name)?.shape ?? [], dimensions));
  return feeds;
}

export function hostData({ dtype }: Pick<CaseInput, "dtype">, values: ArrayLike<number>): HostData {
  return dtype === "int64" ? BigInt64Array.from(Array.from(values), BigInt) : Float32Array.from(values);
}

/** Runs a program and returns its results as plain arrays. */
export async function results(program: Program, feeds: Feeds, dimensions: Dimensions): Promise<Readonly<Record<string, Float32Array>>> {
  const outputs = await program.run(feeds, dimensions);
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, Float32Array.from(data, Number)]));
}

function drawn(input: CaseInput, random: Random, dimensions: Dimensions): ArrayLike<number> {
  return input.values(random, countOf(input.shape, dimensions), dimensions);
}

function countOf(shape: CaseInput["shape"], dimensions: Dimensions): number {
  return evaluate(product(...shape), new Map(Object.entries(dimensions)));
}
