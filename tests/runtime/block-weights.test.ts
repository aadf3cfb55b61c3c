import { beforeAll, describe, expect, test } from "vitest";
import type { OnnxNode } from "../../src/onnx/model.js";
import type { StoredWeight } from "../../src/runtime/emit.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { buildOnnx } from "../../src/runtime/program.js";
import { buildGradientGraph, GradientProgram } from "../../src/training/gradient-program.js";
import { roundToBlocks } from "../../src/weights/kernels/blocks.js";
import { type BlockWeights, blockWeights } from "../support/block-weight.js";
import { profiled, type Ran } from "../support/profile.js";
import { type SeededLlama, seededLlama } from "../support/seeded-llama.js";

const SIZE = 32;

interface Model {
  readonly llama: SeededLlama;
  readonly inBlocks: (name: string) => StoredWeight;
  readonly inFloat: (name: string) => StoredWeight;
}

/** A Llama of which weights, not activations, fill the memory. */
function modelOf(blocks: number): Model {
  const llama = seededLlama({ blocks, batch: 1, hidden: 128, vocabulary: 256 });
  const forms = new Map<string, BlockWeights>();
  for (const [name, [outputs = 0, inputs]] of llama.model.weights) {
    if (inputs === undefined) continue;
    const data = llama.weights(name).data as Uint8Array;
    const values = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
    forms.set(name, blockWeights(roundToBlocks(values, SIZE), [outputs, inputs], SIZE, "uint4"));
  }
  return {
    llama,
    inBlocks: (name) => forms.get(name)?.inBlocks ?? llama.weights(name),
    inFloat: (name) => forms.get(name)?.inFloat ?? llama.weights(name),
  };
}

interface Step {
  readonly loss: number;
  readonly gradient: Float32Array;
  readonly ran: readonly Ran[];
}

async function step({ llama }: Model, weights: (name: string) => StoredWeight): Promise<Step> {
  const gradient = new Float32Array(llama.layout.length);
  let loss = Number.NaN;
  const ran = await profiled(async (profile) => {
    const program = await GradientProgram.compile(nodeEngine, { ...llama, maxTokens: 16 }, { target: "cpu", weights, profile });
    ({ loss } = await program.run(llama.batch, llama.adapter, gradient));
    program.endProfiling();
    await program.release();
  });
  return { loss, gradient, ran };
}

describe("a training step over weights in blocks", () => {
  const [FEW, MANY] = [2, 6];
  const model = modelOf(MANY);
  let blocks: Step;
  let floats: Step;
  beforeAll(async () => {
    blocks = await step(model, model.inBlocks);
    floats = await step(model, model.inFloat);
  });

  test("has the loss and the gradients of the same weights in float32, bit for bit", () => {
    expect(blocks.loss).toBe(floats.loss);
    expect(blocks.gradient).toEqual(floats.gradient);
    expect(blocks.gradient.some((value) => value !== 0)).toBe(true);
  });

  test("brings a weight to float32 just before its product, and holds one at a time", () => {
    const { nodes } = buildOnnx(buildGradientGraph({ ...model.llama, maxTokens: 16 }).graph, "cpu", model.inBlocks).model;
    const position = new Map(blocks.ran.map(({ node }, index) => [node, index]));
    const at = ({ name }: OnnxNode) => position.get(name) ?? Number.NaN;
    const readers = ({ outputs }: OnnxNode) => nodes.filter(({ inputs }) => inputs.some((input) => outputs.includes(input)));
    /** The products that read a weight, behind the nodes that add its minimum and give it its shape. */
    const products = (node: OnnxNode): OnnxNode[] => readers(node).flatMap((next) => (next.type === "Gemm" ? [next] : products(next)));
    const alive = nodes
      .filter(({ type }) => type === "DequantizeLinear")
      .map((node) => [at(node), Math.max(...products(node).map(at))] as const);
    // Both directions of seven layers a block, but for the gradients of the first q, k and v; the head's copy serves both.
    expect(alive.length).toBe(2 * 7 * MANY - 3 + 1);
    expect(Math.max(...alive.map(([start]) => alive.filter(([from, to]) => from <= start && start < to).length))).toBe(1);
  });

  test("keeps the memory of a few weights for the next ones, however many blocks there are", async () => {
    const few = modelOf(FEW);
    const peak = ({ ran }: Step) => Math.max(...ran.map(({ bytesInUse }) => bytesInUse));
    const more = peak(blocks) - peak(floats);
    const moreOfFew = peak(await step(few, few.inBlocks)) - peak(await step(few, few.inFloat));
    const weightsOfBlock = 4 * (2 * 128 * 128 + 2 * 64 * 128 + 3 * 256 * 128);
    expect(more - moreOfFew).toBeLessThan(0.05 * (MANY - FEW) * weightsOfBlock);
    expect(more).toBeLessThan(weightsOfBlock);
  });
});
