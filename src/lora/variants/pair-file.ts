import type { AdapterLayer } from "../layer.js";
import { A, B } from "./lora.js";
import type { AdapterFile, ShapedValues } from "./variant.js";

/** A plain LoRA's tensors in PEFT's file: A and B of each layer, and beside them vectors [outputs] of these names. */
export function pairFile(vectors: readonly string[]): Omit<AdapterFile, "config" | "plainFields" | "settings"> {
  return {
    parameters: [A, B, ...vectors],
    shared: [],
    tensors: ({ rank, inputs, outputs, a, b, vectors: beside = new Map() }) =>
      new Map<string, ShapedValues>([
        [A, { shape: [rank, inputs], values: a }],
        [B, { shape: [outputs, rank], values: b }],
        ...[...beside].map(([name, values]) => [name, { shape: [values.length], values }] as const),
      ]),
    sharedTensors: () => new Map(),
    layer: (layer, tensors) => readPair(layer, tensors, vectors),
  };
}

function readPair(
  { name, rank, scale }: Pick<AdapterLayer, "name" | "rank" | "scale">,
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
