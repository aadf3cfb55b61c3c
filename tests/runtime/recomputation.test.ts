import { describe, expect, test } from "vitest";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { buildOnnx } from "../../src/runtime/program.js";
import { buildGradientGraph, GradientProgram } from "../../src/training/gradient-program.js";
import { profiled } from "../support/profile.js";
import { seededLlama } from "../support/seeded-llama.js";

const BLOCKS = 6;
const ROWS = 4 * 48;
const HIDDEN = 16;
const llama = seededLlama({ blocks: BLOCKS, batch: 4, tokens: 48, hidden: HIDDEN });

/** One step, one thread: its numbers, and what the engine ran, in its order. */
async function step(gradientCheckpointing: boolean) {
  const options = { ...llama, maxTokens: 48, gradientCheckpointing };
  const gradient = new Float32Array(llama.layout.length);
  let loss = 0;
  const ran = await profiled(async (profile) => {
    const compile = { target: "cpu", weights: llama.weights, threads: 1, profile } as const;
    const program = await GradientProgram.compile(nodeEngine, options, compile);
    loss = (await program.run(llama.batch, llama.adapter, gradient)).loss;
    program.endProfiling();
    await program.release();
  });
  const { model } = buildOnnx(buildGradientGraph(options).graph, "cpu", llama.weights);
  return { loss, gradient, ran, nodes: new Map(model.nodes.map((node) => [node.name, node])) };
}

type Step = Awaited<ReturnType<typeof step>>;

const outputOf = ({ nodes }: Step, name: string) => nodes.get(name)?.outputs[0] ?? "";

const peakOf = ({ ran }: Step) => Math.max(...ran.map(({ bytesInUse }) => bytesInUse));

/** The block whose weight a node reads, by the name of the weight or of the adapter's matrix. */
const blockOf = (inputs: readonly string[]) => inputs.flatMap((name) => /layers\.(\d+)\./.exec(name)?.[1] ?? []).map(Number)[0];

describe("blocks computed again", async () => {
  const [plain, again] = [await step(false), await step(true)];
  const { nodes } = again;

  test("bring the same loss and gradients to the bit", () => {
    expect(again.loss).toBe(plain.loss);
    expect(again.gradient).toEqual(plain.gradient);
  });

  test("every node runs under its own name: nothing was merged with the forward pass", () => {
    expect(again.ran.map(({ node }) => node).sort()).toEqual([...nodes.keys()].sort());
  });

  test("run after the loss, each just before its own gradients: those of later blocks are complete", () => {
    const order = again.ran.map(({ node }) => node);
    const lossAt = order.findIndex((name) => outputOf(again, name) === "loss");
    const products = order.slice(lossAt).flatMap((name) => {
      const node = nodes.get(name);
      const block = blockOf(node?.inputs ?? []) ?? blockOf(node?.outputs ?? []);
      return block === undefined ? [] : [block];
    });
    // Products of block 5, forward and backward, then those of block 4, …
    expect(products).toEqual(products.toSorted((a, b) => b - a));
    expect(new Set(products).size).toBe(BLOCKS);
    // Forward again: all of a block's seven frozen products but that of the down projection, which nothing reads.
    const frozen = order.slice(lossAt).filter((name) => nodes.get(name)?.inputs[1]?.startsWith("weight:model.layers.0.mlp.gate"));
    expect(frozen.length).toBe(2); // gate once forward, once for the gradient
    expect(order.slice(lossAt).filter((name) => nodes.get(name)?.inputs[1]?.startsWith("weight:model.layers.0.mlp.down")).length).toBe(1);
  });

  test("leave the input of each block in memory until its turn, and no more", () => {
    /** Bytes that the engine takes back from one block's last gradient to the next block's. */
    const freed = (of: Step, block: number) => bytesWhenDone(of, block + 1) - bytesWhenDone(of, block);
    const inside = [4, 3, 2];
    const input = 4 * ROWS * HIDDEN;
    expect(inside.map((block) => freed(again, block))).toEqual(inside.map(() => input));
    // What the other blocks keep without checkpoints is not there at the peak; one block computed again keeps a little more.
    const saved = freed(plain, 3) - input;
    expect(saved).toBeGreaterThan(5 * input);
    expect(peakOf(plain) - peakOf(again)).toBeGreaterThan((BLOCKS - 2) * saved);
  });

  function bytesWhenDone(of: Step, block: number): number {
    const ends = (name: string) => name.startsWith("gradient:") && name.includes(`layers.${block}.`);
    return of.ran.findLast(({ node }) => ends(outputOf(of, node)))?.bytesInUse ?? Number.NaN;
  }
});
