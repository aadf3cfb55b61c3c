import { beforeAll, describe, expect, test } from "vitest";
import type { OnnxNode } from "../../src/onnx/model.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { buildOnnx } from "../../src/runtime/program.js";
import { buildGradientGraph, GradientProgram } from "../../src/training/gradient-program.js";
import { profiled, type Ran } from "../support/profile.js";
import { seededLlama } from "../support/seeded-llama.js";

/** Nodes of one chunk, in the order in which they need each other; nothing large is left behind the last one. */
type Chunk = readonly OnnxNode[];

const blocks = 2;
const VOCABULARY = 2048;
const HEAD = "weight:model.embed_tokens.weight";
// Logits fill the memory here, as they do in training.
const llama = seededLlama({ blocks, batch: 4, tokens: 48, vocabulary: VOCABULARY });
const rows = llama.batch.targets.length;

describe("the engine's profile of a step in chunks", () => {
  const chunked = profileOf({ maxTokens: 512, maxSupervised: 1024 }); // 4 chunks of queries, 4 of learned tokens
  const whole = profileOf({ maxTokens: 48, maxSupervised: 192 });
  beforeAll(async () => {
    await chunked.run();
    await whole.run();
  });

  test("logits, softmax and gradient of one chunk of learned tokens run before the next chunk's logits begin", () => {
    const chunks = chunked.lossChunks();
    expect(chunks.length).toBe(4);
    expect(chunked.placesOf(chunks)).toEqual(chunked.placesOf(chunks).toSorted((a, b) => a - b));
    expect(whole.lossChunks().length).toBe(1);
  });

  test("scores, softmax and mixture of one chunk of queries run before the next chunk's scores begin, in the forward pass", () => {
    const chunks = chunked.attentionChunks();
    expect(chunks.length).toBe(4 * blocks);
    expect(chunked.placesOf(chunks)).toEqual(chunked.placesOf(chunks).toSorted((a, b) => a - b));
    expect(whole.attentionChunks().length).toBe(blocks);
  });

  test("the memory of the loss is the logits and probabilities of one chunk", () => {
    const bytes = (count: number) => 2 * count * VOCABULARY * Float32Array.BYTES_PER_ELEMENT;
    const chunk = bytes(Math.ceil(rows / 4));
    // Values of a few columns come and go beside them.
    expect(Math.abs(chunked.lossBytes() / chunk - 1)).toBeLessThan(0.05);
    // In one chunk all rows live at once; the engine's arena may hand out a free piece that is larger than what is asked for.
    expect(whole.lossBytes()).toBeGreaterThan(0.95 * bytes(rows));
  });
});

/** The step's nodes and, after `run`, the engine's profile of them. */
function profileOf(sizes: { readonly maxTokens: number; readonly maxSupervised: number }) {
  const options = { ...llama, ...sizes };
  const { nodes } = buildOnnx(buildGradientGraph(options).graph, "cpu", llama.weights).model;
  const readers = (value: string) => nodes.filter(({ inputs }) => inputs.includes(value));
  const softmaxes = nodes.filter(({ type }) => type === "Softmax");
  let ran: readonly Ran[] = [];
  let position = new Map<string, number>();

  const producer = (value: string): OnnxNode => found(nodes.find(({ outputs }) => outputs.includes(value)));
  /** The node that makes a value, behind others that only reshape it or add a mask. */
  const product = (value: string): OnnxNode => {
    const node = producer(value);
    return node.type === "Reshape" || node.type === "Add" ? product(found(node.inputs[0])) : node;
  };
  const at = ({ name }: OnnxNode) => found(position.get(name));
  const loss = () => at(producer("loss"));

  function lossChunks(): readonly Chunk[] {
    return softmaxes.flatMap((softmax) => {
      const logits = product(found(softmax.inputs[0]));
      if (!logits.inputs.includes(HEAD)) return [];
      const gradient = found(readers(found(softmax.outputs[0])).find(({ inputs }) => inputs.includes(HEAD)));
      return [[logits, softmax, gradient, found(readers(found(gradient.outputs[0]))[0])]];
    });
  }

  function attentionChunks(): readonly Chunk[] {
    return softmaxes.flatMap((softmax) => {
      const scores = product(found(softmax.inputs[0]));
      if (scores.inputs.includes(HEAD) || at(softmax) > loss()) return [];
      return [[scores, softmax, found(readers(found(softmax.outputs[0]))[0])]];
    });
  }

  return {
    /** When the nodes of the chunks ran, chunks in the order in which they began. */
    placesOf: (chunks: readonly Chunk[]) =>
      chunks
        .map((chunk) => chunk.map(at))
        .toSorted(([a = 0], [b = 0]) => a - b)
        .flat(),
    lossChunks,
    attentionChunks,
    run: async () => {
      ran = await profiled(async (profile) => {
        const program = await GradientProgram.compile(nodeEngine, options, { target: "cpu", weights: llama.weights, profile });
        await program.run(llama.batch, llama.adapter, new Float32Array(llama.layout.length));
        program.endProfiling();
        await program.release();
      });
      position = new Map(ran.map(({ node }, index) => [node, index]));
    },
    /** By how much the engine's memory grows from before the first logits until the loss is known. */
    lossBytes: () => {
      const first = Math.min(...lossChunks().map(([logits]) => at(found(logits))));
      const before = found(ran[first - 1]).bytesInUse;
      return Math.max(...ran.slice(first, loss()).map(({ bytesInUse }) => bytesInUse)) - before;
    },
  };
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the step has no such node");
  return value;
}
