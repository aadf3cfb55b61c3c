import { describe, expect, test } from "vitest";
import { Graph } from "../../src/graph/graph.js";
import { frozenLayers } from "../../src/ops/frozen-layers.js";
import type { StoredAnswering, StoredWeight } from "../../src/runtime/emit.js";
import { nodeEngine } from "../../src/runtime/node/engine.js";
import { Program } from "../../src/runtime/program.js";
import { encodeBlocks, rowRoundingError } from "../../src/weights/kernels/answering.js";
import { blocksForm, rowsForm } from "../support/answering-form.js";
import { largestDifference, relativeError } from "../support/compare.js";
import { Random } from "../support/random.js";
import { results } from "./harness.js";

const [ROWS, INPUTS] = [7, 192];
const random = new Random(3);
const layers = [48, 80].map((outputs, index) => ({
  name: `w${index}`,
  values: random.gaussians(outputs * INPUTS, 0.05),
  shape: [outputs, INPUTS] as const,
}));
/** Gaussians, each row of another size and mean, and a loud channel. */
const x = random.gaussians(ROWS * INPUTS).map((value, at) => {
  const [row, channel] = [Math.floor(at / INPUTS), at % INPUTS];
  return (value + row / 3) * 10 ** (row - 3) * (channel === 5 ? 30 : 1);
});
const smooth = Float32Array.from({ length: INPUTS }, (_, channel) => (channel === 5 ? 0.1 : 1 + (channel % 7) / 8));

function rowOf(values: Float32Array, row: number, columns: number): Float32Array;
function rowOf(values: Float64Array, row: number, columns: number): Float64Array;
function rowOf(values: Float32Array | Float64Array, row: number, columns: number) {
  return values.subarray(row * columns, (row + 1) * columns);
}

/** x·Wᵀ in double precision. */
function exact(x: ArrayLike<number>, { values, shape: [outputs, inputs] }: (typeof layers)[number]): Float64Array {
  const out = new Float64Array((x.length / inputs) * outputs);
  for (let at = 0; at < out.length; at++) {
    const [row, output] = [Math.floor(at / outputs), at % outputs];
    for (let i = 0; i < inputs; i++) out[at]! += x[row * inputs + i]! * values[output * inputs + i]!;
  }
  return out;
}

async function products(form: StoredAnswering, x: Float32Array, oneRow = false): Promise<Float32Array[]> {
  const graph = new Graph();
  const shapes = new Map(layers.map(({ name, shape }) => [name, shape]));
  const weights = form.weights.map((name) => graph.weight(name, shapes.get(name) ?? []));
  const outputs = frozenLayers(graph.input("x", { dtype: "float32", shape: [x.length / INPUTS, INPUTS] }), weights, { oneRow });
  for (const [index, output] of outputs.entries()) graph.output(`y${index}`, output);
  const stored = (name: string): StoredWeight => ({ dtype: "float32", shape: shapes.get(name) ?? [], data: undefined, answering: form });
  const program = await Program.compile(graph, nodeEngine, { target: "cpu", weights: stored, packWeights: true });
  const found = await results(program, { x }, {});
  await program.release();
  return form.weights.map((_, index) => found[`y${index}`]!);
}

/** x as its codes have it: u ≈ s·(c − z), with s and z as the ONNX operator DynamicQuantizeLinear defines them. */
function roundedRows(): Float64Array {
  const out = new Float64Array(x.length);
  for (let row = 0; row < ROWS; row++) {
    const u = rowOf(x, row, INPUTS).map((value, i) => value * smooth[i]!);
    const [least, most] = [Math.min(0, ...u), Math.max(0, ...u)];
    const step = Math.fround((most - least) / 255);
    const zero = Math.round(-least / step);
    for (const [i, value] of u.entries()) {
      const code = Math.min(255, Math.max(0, Math.round(value / step) + zero));
      out[row * INPUTS + i] = ((code - zero) * step) / smooth[i]!;
    }
  }
  return out;
}

/** W as its codes have it. */
function roundedLayer(layer: (typeof layers)[number]): (typeof layers)[number] {
  const values = layer.values.slice();
  for (let output = 0; output < layer.shape[0]; output++) {
    const row = rowOf(values, output, INPUTS);
    const step = Math.max(...row.map((value, i) => Math.abs(value / smooth[i]!))) / 127;
    for (const [i, value] of row.entries()) row[i] = Math.round(value / smooth[i]! / step) * step * smooth[i]!;
  }
  return { ...layer, values };
}

describe("layers of one input, side by side in 8 bits", () => {
  test("give the products of the rounded numbers, to the last digits of float32", async () => {
    const found = await products(rowsForm(layers, smooth, false), x);
    const input = roundedRows();
    for (const [index, layer] of layers.entries()) {
      const want = exact(input, roundedLayer(layer));
      for (let row = 0; row < ROWS; row++) {
        const columns = layer.shape[0];
        // A value halfway between two codes may fall to either side: one step of a single input in a row.
        expect(relativeError(rowOf(found[index]!, row, columns), rowOf(want, row, columns)), `row ${row}`).toBeLessThan(1e-3);
      }
    }
  });

  // Rounding a row to 255 steps over its range, and W to 254 over twice its largest value, is off by 1/√12 of a step each:
  // for Gaussians about 0.7 % and 0.7 %, more where a mean or a loud channel widens a row; with the input in 16 bits, W's part
  // alone is left.
  test("are off by W's rounding alone where the input is taken in 16 bits, and by both where not", async () => {
    const [coarse, fine] = [await products(rowsForm(layers, smooth, false), x), await products(rowsForm(layers, smooth, true), x)];
    for (const [index, layer] of layers.entries()) {
      const [want, ofRounded] = [exact(x, layer), exact(x, roundedLayer(layer))];
      for (let row = 0; row < ROWS; row++) {
        const part = (values: Float32Array | Float64Array) => [...values.subarray(row * layer.shape[0], (row + 1) * layer.shape[0])];
        expect(relativeError(part(fine[index]!), part(ofRounded)), `row ${row}`).toBeLessThan(1e-4);
        expect(relativeError(part(coarse[index]!), part(ofRounded)), `row ${row}`).toBeGreaterThan(1e-3);
        expect(relativeError(part(coarse[index]!), part(want)), `row ${row}`).toBeLessThan(0.05);
      }
    }
  });

  test.each([false, true])("a row alone, in the engine's own rounding, gives what it gives among others (fine: %s)", async (fine) => {
    const form = rowsForm(layers, smooth, fine);
    const together = await products(form, x);
    for (let row = 0; row < ROWS; row++) {
      const alone = await products(form, rowOf(x, row, INPUTS), true);
      for (const [index, { shape }] of layers.entries()) {
        expect(relativeError(alone[index]!, rowOf(together[index]!, row, shape[0])), `row ${row}`).toBeLessThan(1e-3);
      }
    }
  });

  test("rows of zeros, of one sign and with tiny numbers are as good as others", async () => {
    const rows = [new Float32Array(INPUTS), random.gaussians(INPUTS).map((v) => 5 + v), random.gaussians(INPUTS).map((v) => -9 - v / 4)];
    const given = Float32Array.from([...rows, random.gaussians(INPUTS, 1e-20)].flatMap((row) => [...row]));
    const [found] = await products(rowsForm(layers, smooth, true), given);
    const [layer] = layers;
    const want = exact(given, roundedLayer(layer!));
    expect([...rowOf(found!, 0, 48)]).toEqual(Array(48).fill(0));
    for (const row of [1, 2, 3]) expect(relativeError(rowOf(found!, row, 48), rowOf(want, row, 48)), `row ${row}`).toBeLessThan(1e-3);
  });

  test("the error that is expected of an input is the error that is measured", async () => {
    const [layer] = layers;
    const input = roundedRows();
    const [want, got] = [exact(x, layer!), exact(input, layer!)];
    const rows = Array.from({ length: ROWS }, (_, row) => row);
    const expected = rows.map((row) => rowRoundingError(rowOf(x, row, INPUTS), layer!.values, smooth));
    const measured = rows.map((row) => relativeError(rowOf(got, row, 48), rowOf(want, row, 48)));
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(expected) / mean(measured)).toBeGreaterThan(0.5);
    expect(mean(expected) / mean(measured)).toBeLessThan(2);
  });
});

describe("a layer in blocks of 32", () => {
  test("gives the product, off by the rounding of both in blocks, for each row alike", async () => {
    const [layer] = layers;
    const [found] = await products(blocksForm(layer!), x);
    const want = exact(x, layer!);
    for (let row = 0; row < ROWS; row++) {
      const error = relativeError(rowOf(found!, row, 48), rowOf(want, row, 48));
      expect(error, `row ${row}`).toBeGreaterThan(1e-4);
      expect(error, `row ${row}`).toBeLessThan(0.02);
    }
    expect(largestDifference((await products(blocksForm(layer!), rowOf(x, 3, INPUTS), true))[0]!, rowOf(found!, 3, 48))).toBeLessThan(1e-4);
  });

  // ggml-common.h, block_q8_0: y = d·q, with d in half precision; the largest |q| of a block is 127.
  test("keeps the codes and the scales of values that were stored in Q8_0", () => {
    const codes = Uint8Array.from({ length: 256 }, (_, at) => (at % 32 === 7 ? 255 : 1 + random.below(255)));
    const scales = Float32Array.of(0.5, 0.0078125, 3.051758e-5, 1.25, 0.33325195, 0.00010001659, 96.0625, 0.125);
    const again = encodeBlocks(Float32Array.from(codes, (code, at) => scales[Math.floor(at / 32)]! * (code - 128)));
    expect(again.codes).toEqual(codes);
    expect(relativeError(again.scales, scales)).toBeLessThan(1e-7);
  });
});
