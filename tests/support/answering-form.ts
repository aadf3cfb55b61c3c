import type { LinearGroup } from "../../src/models/architecture.js";
import type { StoredAnswering } from "../../src/runtime/emit.js";
import { BLOCK, encodeBlocks, encodeRows, stackedCodes } from "../../src/weights/kernels/answering.js";

type Matrix = { readonly name: string; readonly values: Float32Array; readonly shape: readonly [outputs: number, inputs: number] };

const bytes = ({ buffer, byteOffset, byteLength }: Float32Array | Int8Array | Uint8Array) => new Uint8Array(buffer, byteOffset, byteLength);

/** Layers of one input in the form for answers, side by side. */
export function rowsForm(layers: readonly Matrix[], smooth: Float32Array, fine: boolean): StoredAnswering {
  const outputs = layers.reduce((sum, { shape }) => sum + shape[0], 0);
  const stacked = stackedCodes(smooth.length, outputs);
  let first = 0;
  for (const { values, shape } of layers) {
    encodeRows(stacked, values, first, smooth);
    first += shape[0];
  }
  return {
    weights: layers.map(({ name }) => name),
    form: { kind: "rows", fine },
    parts: new Map([
      ["smooth", { dtype: "float32", shape: [smooth.length], data: bytes(smooth) }],
      ["codes", { dtype: "int8", shape: [smooth.length, outputs], data: bytes(stacked.codes) }],
      ["scales", { dtype: "float32", shape: [outputs], data: bytes(stacked.scales) }],
      ["sums", { dtype: "float32", shape: [1, outputs], data: bytes(stacked.sums) }],
    ]),
  };
}

/** One layer in the form for answers, in blocks. */
export function blocksForm({ name, values, shape: [outputs, inputs] }: Matrix): StoredAnswering {
  const { codes, scales } = encodeBlocks(values);
  return {
    weights: [name],
    form: { kind: "blocks", inputs, block: BLOCK, bits: 8, exact: false },
    parts: new Map([
      ["codes", { dtype: "uint8", shape: [outputs, inputs / BLOCK, BLOCK], data: bytes(codes) }],
      ["scales", { dtype: "float32", shape: [outputs, inputs / BLOCK], data: bytes(scales) }],
    ]),
  };
}

/** Names of a group's weights. */
export const weightNames = (group: LinearGroup) => group.map(({ name }) => `${name}.weight`);
