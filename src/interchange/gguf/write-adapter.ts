import { InputError } from "../../errors.js";
import type { Adapter, AdapterLayer } from "../../lora/adapter.js";
import { HEAD } from "../../lora/tables.js";
import { HEAD_WEIGHT } from "../../models/architecture.js";
import { interleaveHeads } from "../../weights/kernels/interleaved-heads.js";
import { type BaseModel, type GgufLayers, ggufLayers } from "./base-model.js";
import type { GgufEntry, GgufTensor } from "./header.js";

/** An adapter as llama.cpp takes it.                          llama.cpp: convert_lora_to_gguf.py, src/llama-adapter.cpp */
export interface GgufAdapter {
  readonly entries: readonly GgufEntry[];
  readonly tensors: readonly GgufTensor[];
}

/**
 * An adapter as GGUF, in F32. llama.cpp computes W + α/r·B·A with one α for the whole file and r that of each B: α is what most layers
 * have, rsLoRA's √r in it, and B of the others carries the difference. Rows of B are interleaved where those of W are.
 *
 * @throws InputError with everything about the adapter that GGUF cannot express, and what to do instead.
 */
export function ggufAdapter(adapter: Adapter, model: BaseModel, modelName: string): GgufAdapter {
  const layers = ggufLayers(model);
  refuseInexpressible(adapter, layers, model);
  const alpha = commonAlpha(adapter.layers);
  const entries: GgufEntry[] = [
    ["general.architecture", { type: "string", value: layers.architecture.name }],
    ["general.type", { type: "string", value: "adapter" }],
    ["general.base_model.count", { type: "uint32", value: 1 }],
    ["general.base_model.0.name", { type: "string", value: adapter.config.baseModel ?? modelName }],
    ["general.file_type", { type: "uint32", value: 0 }], // all in F32
    ["general.quantization_version", { type: "uint32", value: 2 }],
    ["adapter.type", { type: "string", value: "lora" }],
    ["adapter.lora.alpha", { type: "float32", value: alpha }],
  ];
  return { entries, tensors: adapter.layers.flatMap((layer) => pairOf(layer, layers, alpha)) };
}

function refuseInexpressible(
  { config, layers, trained = [] }: Adapter,
  { architecture, nameOf }: GgufLayers,
  { head }: Pick<BaseModel, "head">,
): void {
  const problems: string[] = [];
  if (config.method !== "lora") problems.push(`its layers are ${config.method}'s, where GGUF knows plain LoRA alone`);
  if (trained.length > 0) problems.push(`${trained.map(({ name }) => name).join(", ")}: trained whole beside the adapter`);
  // llama.cpp looks adapters up by the name of a tensor, and a head that is the table has the table's.      src/llama-graph.cpp, build_lora_mm
  const vocabulary = layers.filter(({ name, isTable }) => isTable || (name === HEAD && head !== HEAD_WEIGHT)).map(({ name }) => name);
  if (vocabulary.length > 0)
    problems.push(
      `${vocabulary.join(" and ")}: llama.cpp takes no adapters of a table of embeddings here, and none of a head that is the table`,
    );
  const nameless = layers.filter(({ name }) => nameOf(name) === undefined).map(({ name }) => name);
  if (nameless.length > 0) problems.push(`llama.cpp's ${architecture.name} has no weight for ${nameless.slice(0, 3).join(", ")}`);
  if (problems.length === 0) return;
  throw new InputError(
    `The adapter cannot be a GGUF adapter:${problems.map((problem) => `\n- ${problem}`).join("")}\nFold it into its model instead: \`lorikeet merge\`.`,
  );
}

/** What most layers have, in the precision that it is stored in; never 0, which llama.cpp takes for "no scaling". */
function commonAlpha(layers: readonly AdapterLayer[]): number {
  const counts = new Map<number, number>();
  for (const alpha of layers.map(alphaOf)) if (alpha !== 0) counts.set(alpha, (counts.get(alpha) ?? 0) + 1);
  const [[alpha] = [1]] = [...counts].sort(([, a], [, b]) => b - a);
  return alpha;
}

const alphaOf = ({ scale, rank }: AdapterLayer): number => Math.fround(scale * rank);

function pairOf(layer: AdapterLayer, { nameOf, interleavedHeads }: GgufLayers, alpha: number): GgufTensor[] {
  const { name, rank, inputs, outputs, a, b, scale } = layer;
  const heads = interleavedHeads(name);
  const scaled = alphaOf(layer) === alpha ? b : b.map((value) => (value * scale * rank) / alpha);
  const bytes = new Uint8Array(scaled.buffer, scaled.byteOffset, scaled.byteLength);
  const stored = heads === undefined ? bytes : interleaveHeads(bytes, heads, outputs / heads);
  const weight = nameOf(name) ?? name;
  return [
    { name: `${weight}.lora_a`, type: "F32", shape: [rank, inputs], data: () => [a] },
    { name: `${weight}.lora_b`, type: "F32", shape: [outputs, rank], data: () => [stored] },
  ];
}
