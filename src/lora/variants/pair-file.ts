import { transposed } from "../../weights/kernels/transpose.js";
import type { AdapterLayer } from "../layer.js";
import { EMBEDDING_A, EMBEDDING_B } from "./embedding.js";
import { A, B } from "./lora.js";
import type { AdapterFile, ShapedValues, Variant } from "./variant.js";

/**
 * A plain LoRA's tensors in PEFT's file: A and B of each layer, and beside them the variant's vectors [outputs]. Those of a table of
 * embeddings have other names, and lie transposed.
 */
export function pairFile({
  vectors,
  lowRank,
}: Pick<Variant, "vectors" | "lowRank">): Omit<AdapterFile, "config" | "plainFields" | "settings"> {
  return {
    parameters: [A, B, ...vectors, ...(lowRank === undefined ? [] : [EMBEDDING_A, EMBEDDING_B])],
    shared: [],
    tensors: (layer) => (layer.isTable ? tablePair(layer) : layerPair(layer)),
    sharedTensors: () => new Map(),
    layer: (layer, tensors) =>
      tensors.has(EMBEDDING_A) || tensors.has(EMBEDDING_B) ? readTablePair(layer, tensors) : readPair(layer, tensors, vectors),
  };
}

function layerPair({ rank, inputs, outputs, a, b, vectors = new Map() }: AdapterLayer): Map<string, ShapedValues> {
  return new Map<string, ShapedValues>([
    [A, { shape: [rank, inputs], values: a }],
    [B, { shape: [outputs, rank], values: b }],
    ...[...vectors].map(([name, values]) => [name, { shape: [values.length], values }] as const),
  ]);
}

/** A [R, V] and B [C, R], of which the first token's row is A's first column. */
function tablePair({ rank, inputs, outputs, a, b }: AdapterLayer): Map<string, ShapedValues> {
  return new Map([
    [EMBEDDING_A, { shape: [rank, outputs], values: transposed(b, rank) }],
    [EMBEDDING_B, { shape: [inputs, rank], values: transposed(a, inputs) }],
  ]);
}

type NamedLayer = Pick<AdapterLayer, "name" | "rank" | "scale">;

function readTablePair({ name, rank, scale }: NamedLayer, tensors: ReadonlyMap<string, ShapedValues>): AdapterLayer | string {
  const [a, b] = [tensors.get(EMBEDDING_A), tensors.get(EMBEDDING_B)];
  if (a === undefined || b === undefined || tensors.size > 2)
    return `${name} has other matrices than a lora_embedding_A and a lora_embedding_B`;
  const [rows, outputs] = a.shape;
  const [inputs, columns] = b.shape;
  if (a.shape.length !== 2 || b.shape.length !== 2 || rows !== rank || columns !== rank || !inputs || !outputs) {
    return `${name}: lora_embedding_A is [${a.shape.join(", ")}] and lora_embedding_B [${b.shape.join(", ")}]; rank ${rank} of the configuration needs [${rank}, tokens] and [columns, ${rank}]`;
  }
  const pair = { a: transposed(b.values, rank), b: transposed(a.values, outputs) };
  return { name, inputs, outputs, rank, scale, isTable: true, ...pair };
}

function readPair(
  { name, rank, scale }: NamedLayer,
  tensors: ReadonlyMap<string, ShapedValues>,
  vectors: readonly string[],
): AdapterLayer | string {
  const [a, b] = [tensors.get(A), tensors.get(B)];
  if (a === undefined || b === undefined)
    return `${name} has a lora_${a === undefined ? "B" : "A"} without its lora_${a === undefined ? "A" : "B"}`;
  const [rows, inputs] = a.shape;
  const [outputs, columns] = b.shape;
  if (a.shape.length !== 2 || b.shape.length !== 2 || rows !== rank || columns !== rank || !inputs || !outputs) {
    return `${name}: lora_A is [${a.shape.join(", ")}] and lora_B [${b.shape.join(", ")}]; rank ${rank} of the configuration needs [${rank}, inputs] and [outputs, ${rank}]`;
  }
  const shapeOf = (vector: string) => tensors.get(vector)?.shape;
  const wrong = vectors.find((vector) => shapeOf(vector)?.join() !== String(outputs));
  if (wrong !== undefined) return `${name}: ${wrong} is ${shapeOf(wrong)?.join(" × ") ?? "missing"}, not a vector of ${outputs} values`;
  const values = new Map(vectors.map((vector) => [vector, tensors.get(vector)?.values ?? new Float32Array()] as const));
  return { name, inputs, outputs, rank, scale, a: a.values, b: b.values, ...(vectors.length === 0 ? {} : { vectors: values }) };
}
