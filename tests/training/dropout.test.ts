import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildBatch } from "../../src/data/batch.js";
import { product } from "../../src/graph/dimension.js";
import { Graph } from "../../src/graph/graph.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { Program } from "../../src/runtime/program.js";
import { DropoutSource } from "../../src/training/dropout-source.js";
import { GradientProgram } from "../../src/training/gradient-program.js";
import { fillUniforms } from "../../src/training/kernels/uniform-table.js";
import { norm } from "../../src/training/kernels/vector.js";
import { relativeError } from "../support/compare.js";
import { Random } from "../support/random.js";
import { loadTinyModel, type TinyModel } from "../support/tiny-model.js";
import { compileOptions, MAX_TOKENS, randomExamples } from "./support.js";

const ROWS = product("batch", "tokens");
const WIDTHS = [64, 64, 96] as const;
const SIZE = { batch: 4, tokens: 128, targets: new BigInt64Array() };

/** Three sites of dropout, each fed ones, so that an output is the mask over 1 − rate. */
async function openSites(rate: number, seed: number) {
  const source = new DropoutSource(rate, seed);
  const graph = new Graph();
  const regularise = source.regularise(graph);
  for (const [site, width] of WIDTHS.entries()) {
    graph.output(`y${site}`, regularise(graph.input(`x${site}`, { dtype: "float32", shape: [ROWS, width] })));
  }
  const program = await Program.compile(graph, nodeEngine, {
    target: "cpu",
    weights: (name) => {
      throw new Error(`no weight ${name} was expected`);
    },
  });
  const ones = WIDTHS.map((width, site) => [`x${site}`, new Float32Array(SIZE.batch * SIZE.tokens * width).fill(1)] as const);
  return async (number: number, size = SIZE): Promise<number[][]> => {
    source.draw(number, size);
    const outputs = await program.run(
      { ...Object.fromEntries(ones), ...source.feeds(size) },
      { batch: size.batch, tokens: size.tokens, ...source.dimensions() },
    );
    return WIDTHS.map((_, site) => Array.from(outputs[`y${site}`]?.data ?? [], Number));
  };
}

const share = (values: readonly number[], test: (value: number, index: number) => boolean) => values.filter(test).length / values.length;

describe.each([0.05, 0.3, 0.75])("dropout at a rate of %d", (rate) => {
  test("leaves the rate's share out and keeps the mean, at every site", async () => {
    const masks = await (await openSites(rate, 1))(0);
    for (const mask of masks) {
      const deviation = Math.sqrt((rate * (1 - rate)) / mask.length); // of the share left out
      expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / (1 - rate))]));
      expect(Math.abs(share(mask, (value) => value === 0) - rate)).toBeLessThan(5 * deviation);
      const mean = mask.reduce((sum, value) => sum + value, 0) / mask.length;
      expect(Math.abs(mean - 1)).toBeLessThan((5 * deviation) / (1 - rate));
    }
  });

  test("masks of other sites, numbers and seeds are independent", async () => {
    const run = await openSites(rate, 1);
    const first = await run(0);
    const next = await run(1);
    const other = await (await openSites(rate, 2))(0);
    const expected = rate ** 2 + (1 - rate) ** 2; // how often two independent masks agree
    const deviation = Math.sqrt((expected * (1 - expected)) / first[0]!.length);
    const pairs: [string, number[], number[]][] = [
      ["sites", first[0]!, first[1]!],
      ["numbers", first[0]!, next[0]!],
      ["seeds", first[0]!, other[0]!],
      ["rows", first[0]!.slice(64), first[0]!.slice(0, -64)],
    ];
    for (const [what, a, b] of pairs) {
      expect(Math.abs(share(a, (value, index) => value === b[index]) - expected), what).toBeLessThan(5 * deviation);
    }
  });
});

test("the masks of a micro-batch follow from the seed and its number alone", async () => {
  const straight = await openSites(0.3, 5);
  for (const number of [0, 1, 2]) await straight(number);
  const want = await straight(3);
  expect(await (await openSites(0.3, 5))(3)).toEqual(want);
  await straight(4);
  expect(await straight(3)).toEqual(want);
});

test("a micro-batch larger than the table does not move the windows of those after it", () => {
  const open = () => {
    const source = new DropoutSource(0.1, 7);
    const graph = new Graph();
    source.regularise(graph)(graph.input("x", { dtype: "float32", shape: [ROWS, 2048] }));
    return source;
  };
  const straight = open();
  const [small, large] = [
    { batch: 1, tokens: 64, targets: new BigInt64Array() },
    { batch: 8, tokens: 512, targets: new BigInt64Array() },
  ]; // 8·512·2048 values, twice the table
  straight.draw(0, large);
  const feeds = straight.feeds(large);
  const length = straight.dimensions().uniforms!;
  expect(feeds["dropout:table"]!.length).toBe(length);
  expect(Number(feeds["dropout:0:end"]![0])).toBeLessThanOrEqual(length);
  expect(feeds["dropout:0:end"]![0]).toBe((feeds["dropout:0:start"]![0] as bigint) + BigInt(8 * 512 * 2048));
  straight.draw(1, small);
  const resumed = open();
  resumed.draw(1, small);
  expect(straight.dimensions()).toEqual(resumed.dimensions());
  expect(straight.feeds(small)["dropout:0:start"]).toEqual(resumed.feeds(small)["dropout:0:start"]);
});

test("uniforms fill [0, 1) evenly, without two equal neighbours in a row", () => {
  for (const key of [0, 1, 0xdeadbeef]) {
    const table = new Float32Array(1 << 17);
    fillUniforms(table, key);
    const bins = new Array<number>(64).fill(0);
    for (const value of table) bins[Math.floor(value * 64)]!++;
    const expected = table.length / 64;
    const chiSquare = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(chiSquare).toBeLessThan(63 + 5 * Math.sqrt(2 * 63));
    let lagged = 0;
    for (let index = 1; index < table.length; index++) lagged += (table[index]! - 0.5) * (table[index - 1]! - 0.5);
    expect(Math.abs(lagged / table.length)).toBeLessThan(5 / (12 * Math.sqrt(table.length)));
  }
});

describe("the gradient of a model under dropout", () => {
  let tiny: TinyModel;
  let program: GradientProgram;
  const source = new DropoutSource(0.4, 11);
  const batch = buildBatch(randomExamples(3, { longest: 12 }));
  beforeAll(async () => {
    tiny = await loadTinyModel("tiny-llama");
    program = await GradientProgram.compile(nodeEngine, { ...tiny, maxTokens: MAX_TOKENS, dropout: source }, compileOptions(tiny));
  });
  afterAll(() => program.release());

  const run = async (number: number, vector: Float32Array) => {
    source.draw(number, batch);
    const gradient = new Float32Array(tiny.layout.length);
    const { loss } = await program.run(batch, vector, gradient);
    return { loss, gradient };
  };

  test("is that of the masked loss: central differences along random directions", async () => {
    const random = new Random(2);
    const { gradient } = await run(0, tiny.adapter);
    for (let trial = 0; trial < 4; trial++) {
      const direction = random.gaussians(tiny.layout.length, 1);
      const h = 5e-4; // the vector moves by h·√length
      const at = async (sign: number) =>
        (
          await run(
            0,
            tiny.adapter.map((value, i) => value + sign * h * direction[i]!),
          )
        ).loss;
      const slope = ((await at(1)) - (await at(-1))) / (2 * h);
      const want = gradient.reduce((sum, value, i) => sum + value * direction[i]!, 0);
      expect(Math.abs(slope - want) / norm(gradient)).toBeLessThan(1e-2); // slopes scatter with ‖gradient‖ around zero
    }
  });

  test("differs from number to number, and repeats to the bit", async () => {
    const first = await run(0, tiny.adapter);
    const second = await run(1, tiny.adapter);
    expect(relativeError(second.gradient, first.gradient)).toBeGreaterThan(0.05);
    expect(await run(0, tiny.adapter)).toEqual(first);
  });

  test("is the same to the bit where blocks are computed again: they meet the same masks", async () => {
    const kept = await run(2, tiny.adapter);
    const dropout = new DropoutSource(0.4, 11);
    const options = { ...tiny, maxTokens: MAX_TOKENS, dropout, gradientCheckpointing: true };
    const again = await GradientProgram.compile(nodeEngine, options, compileOptions(tiny));
    dropout.draw(2, batch);
    const gradient = new Float32Array(tiny.layout.length);
    const { loss } = await again.run(batch, tiny.adapter, gradient);
    expect({ loss, gradient }).toEqual(kept);
    await again.release();
  });

  test("with B zero the loss is the base's, whatever the mask", async () => {
    const plain = await GradientProgram.compile(nodeEngine, { ...tiny, maxTokens: MAX_TOKENS }, compileOptions(tiny));
    const zero = new Float32Array(tiny.layout.length);
    const { loss } = await plain.run(batch, zero, new Float32Array(zero.length));
    expect((await run(3, zero)).loss).toBe(loss);
    await plain.release();
  });
});
