import { beforeAll, describe, expect, test } from "vitest";
import { encodeModel, type OnnxModel, type OnnxNode } from "../../src/onnx/model.js";
import { emitGraph } from "../../src/runtime/emit.js";
import type { HostTensor } from "../../src/runtime/engine.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { orderNodes } from "../../src/runtime/order.js";
import { buildOnnx } from "../../src/runtime/program.js";
import { buildGradientGraph, GradientProgram } from "../../src/training/gradient-program.js";
import { profiled, type Ran } from "../support/profile.js";
import { seededLlama } from "../support/seeded-llama.js";

const node = (name: string, inputs: string[], output = name): OnnxNode => ({
  type: "Add",
  name,
  inputs,
  outputs: [output],
  attributes: {},
});

describe("orderNodes", () => {
  // Two layers: forward f1, f2; recomputation r2, r1 of what the backward nodes b2, b1 read; weight gradients w2, w1.
  const nodes = [
    node("f1", ["x"]),
    node("f2", ["f1"]),
    node("loss", ["f2"]),
    node("r2", ["f1"]),
    node("b2", ["seed", "r2"]),
    node("w2", ["b2", "f1"]),
    node("r1", ["x"]),
    node("b1", ["b2", "r1"]),
    node("w1", ["b1", "x"]),
  ];
  const names = (ordered: readonly OnnxNode[]) => ordered.map(({ name }) => name);

  test("forward, recomputation, chain, leaves from the last, loss", () => {
    const ordered = orderNodes(nodes, new Set(["loss", "w1", "w2"]), new Set(["seed"]));
    expect(names(ordered)).toEqual(["f1", "f2", "r2", "r1", "b2", "b1", "w1", "w2", "loss"]);
    expect(names(lawfulOrder(ordered))).toEqual(["f1", "f2", "loss", "r2", "b2", "w2", "r1", "b1", "w1"]);
  });

  test("without a backward pass nothing moves", () => {
    expect(orderNodes(nodes, new Set(["loss"]), new Set())).toEqual(nodes);
  });

  test("an output that the backward pass reads too stays in the forward part", () => {
    const ordered = orderNodes([...nodes, node("w0", ["b1", "loss"])], new Set(["loss", "w0", "w1", "w2"]), new Set(["seed"]));
    expect(names(ordered)).toEqual(["f1", "f2", "loss", "r2", "r1", "b2", "b1", "w0", "w1", "w2"]);
  });
});

describe("the engine's profile of a gradient program", () => {
  const blocks = 6;
  // Activations, not weights, fill the memory here, as they do in training.
  const llama = seededLlama({ blocks, batch: 4, tokens: 48 });
  const options = { ...llama, maxTokens: 48 };
  const { graph } = buildGradientGraph(options);
  const { model } = buildOnnx(graph, "cpu", llama.weights);
  const seeds = emitGraph(graph, "cpu", llama.weights).seeds;
  const byName = new Map(model.nodes.map((each) => [each.name, each]));
  const producerOf = new Map(model.nodes.flatMap((each) => each.outputs.map((output) => [output, each.name] as const)));
  const backward = namesOfDescendants(model.nodes, seeds);
  const lossNodes = namesOfAncestors(model.nodes, "loss");
  const recomputed = model.nodes.filter(({ name }) => !backward.has(name) && !lossNodes.has(name));
  let ran: readonly Ran[] = [];
  let position = new Map<string, number>();

  beforeAll(async () => {
    ran = await profiled(async (profile) => {
      const program = await GradientProgram.compile(nodeEngine, options, { target: "cpu", weights: llama.weights, profile });
      await program.run(llama.batch, llama.adapter, new Float32Array(llama.layout.length));
      program.endProfiling();
      await program.release();
    });
    position = new Map(ran.map((each, index) => [each.node, index]));
  });

  const at = (name: string) => position.get(name) ?? Number.NaN;

  test("every node runs under its own name: no optimizer merged or replaced one", () => {
    expect(ran.map((each) => each.node).sort()).toEqual([...byName.keys()].sort());
  });

  test("the engine follows the law: depth first from the leaves, the higher index first", () => {
    expect(ran.map((each) => each.node)).toEqual(lawfulOrder(model.nodes).map(({ name }) => name));
  });

  test("each weight gradient follows at once on what it needs", () => {
    const leaves = model.nodes.filter(({ outputs: [output = ""] }) => output.startsWith("gradient:"));
    // Stacked A of q, k, v, of gate, up, and of two single layers; B of seven layers.
    expect(leaves.length).toBe(blocks * (4 + 7));
    const late = leaves.filter((leaf) => {
      const ready = Math.max(...leaf.inputs.flatMap((input) => producerOf.get(input) ?? []).map(at));
      return at(leaf.name) !== ready + 1;
    });
    expect(late.map(({ outputs }) => outputs[0])).toEqual([]);
  });

  test("the last layer's weight gradients run first", () => {
    const layers = ran
      .flatMap(({ node: name }) => /^gradient:.*?layers\.(\d+)/.exec(byName.get(name)?.outputs[0] ?? "")?.[1] ?? [])
      .map(Number);
    expect(layers).toEqual(layers.toSorted((a, b) => b - a));
  });

  test("attention and activations are computed again, after the loss and just before their first reader", () => {
    const types = recomputed.map(({ type }) => type);
    expect(types.filter((type) => type === "Softmax").length).toBe(blocks); // the loss's own runs once, forward
    expect(types.filter((type) => type === "Sigmoid").length).toBe(blocks);
    const early = recomputed.filter(({ name, outputs }) => {
      const readers = model.nodes.filter(({ inputs }) => inputs.some((input) => outputs.includes(input)));
      // A product's other operand, at most a handful of nodes, may stand between.
      return at(name) < at("loss") || Math.min(...readers.map((reader) => at(reader.name))) - at(name) > 10;
    });
    expect(early.map(({ name }) => name)).toEqual([]);
  });

  test("memory falls layer by layer in the backward pass, and its peak is a layer above the forward's", async () => {
    const atLoss = ran[at(producerOf.get("loss") ?? "")]?.bytesInUse ?? Number.NaN;
    const afterLayers = bytesAfterLayers(ran); // last layer first
    const freed = afterLayers.map((bytes, index) => (afterLayers[index - 1] ?? atLoss) - bytes);
    expect(freed.length).toBe(blocks);
    // When the last layer's gradients are complete, those of its values live in place of what it has freed.
    expect(Math.min(...freed.slice(1))).toBeGreaterThan(0);
    expect(peakBytes(ran) - atLoss).toBeLessThan(2 * Math.max(...freed));
    // In the order in which the graph was written, the engine keeps what every layer's gradients need until the end. Shapes of
    // values, which let it reuse memory in any order, are left out on both sides.
    const peakOf = async (nodes: typeof model.nodes) => {
      const unplanned = await profiled((profile) => runModel({ ...model, values: [], nodes }, profile));
      expect(unplanned.map((each) => each.node).sort()).toEqual(ran.map((each) => each.node).sort());
      return peakBytes(unplanned);
    };
    const naive = await peakOf(model.nodes.toSorted((a, b) => emission(a) - emission(b)));
    expect(await peakOf(model.nodes)).toBeLessThan(0.9 * naive);
    expect(peakBytes(ran)).toBeLessThan(naive);
  });

  function peakBytes(nodes: readonly Ran[]): number {
    return Math.max(...nodes.map(({ bytesInUse }) => bytesInUse));
  }

  /** Bytes in use once a layer has all its weight gradients, in the order of evaluation. */
  function bytesAfterLayers(nodes: readonly Ran[]): readonly number[] {
    const after = new Map<string, number>();
    for (const { node: name, bytesInUse } of nodes) {
      const layer = /^gradient:.*?layers\.(\d+)/.exec(byName.get(name)?.outputs[0] ?? "")?.[1];
      if (layer !== undefined) after.set(layer, bytesInUse);
    }
    return [...after.values()];
  }

  /** Runs a model of the same inputs outside of `Program`, which would order it. */
  async function runModel(naive: OnnxModel, profile: string): Promise<void> {
    const { feeds } = await capturedFeeds();
    const session = await nodeEngine.createSession(encodeModel(naive), { target: "cpu", profile });
    await session.run(feeds);
    session.endProfiling();
    await session.release();
  }

  /** What `GradientProgram` feeds its session. */
  async function capturedFeeds(): Promise<{ feeds: Readonly<Record<string, HostTensor>> }> {
    let captured: Readonly<Record<string, HostTensor>> = {};
    const spy = {
      version: "spy",
      createSession: async () => ({
        run: async (feeds: Readonly<Record<string, HostTensor>>) => {
          captured = feeds;
          return {};
        },
        endProfiling: () => {},
        release: async () => {},
      }),
    };
    const program = await GradientProgram.compile(spy, options, { target: "cpu", weights: llama.weights });
    await program.run(llama.batch, llama.adapter, new Float32Array(llama.layout.length));
    return { feeds: captured };
  }
});

/** The order in which the engine runs nodes that stand so in the file (engine's reverse depth-first search). */
function lawfulOrder(nodes: readonly OnnxNode[]): OnnxNode[] {
  const producers = new Map(nodes.flatMap((each, index) => each.outputs.map((output) => [output, index] as const)));
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const done = new Set<number>();
  const order: OnnxNode[] = [];
  const visit = (indexes: readonly number[]) => {
    for (const index of indexes.toSorted((a, b) => b - a)) {
      const each = nodes[index];
      if (each === undefined || done.has(index)) continue;
      done.add(index);
      visit(each.inputs.flatMap((input) => producers.get(input) ?? []));
      order.push(each);
    }
  };
  visit(nodes.flatMap(({ outputs }, index) => (outputs.some((output) => read.has(output)) ? [] : [index])));
  return order;
}

function namesOfDescendants(nodes: readonly OnnxNode[], roots: ReadonlySet<string>): ReadonlySet<string> {
  const values = new Set(roots);
  const reached = nodes.filter(({ inputs, outputs }) => {
    const reads = inputs.some((input) => values.has(input));
    if (reads) for (const output of outputs) values.add(output);
    return reads;
  });
  return new Set(reached.map(({ name }) => name));
}

function namesOfAncestors(nodes: readonly OnnxNode[], output: string): ReadonlySet<string> {
  const needed = new Set([output]);
  // The file's order is one of evaluation, except that the loss stands last.
  const reached = nodes.toReversed().filter(({ inputs, outputs }) => {
    const wanted = outputs.some((each) => needed.has(each));
    if (wanted) for (const input of inputs) needed.add(input);
    return wanted;
  });
  return new Set(reached.map(({ name }) => name));
}

/** The number of a node in the order in which the graph was written. */
function emission({ name }: OnnxNode): number {
  return Number(/_(\d+)$/.exec(name)?.[1]);
}
