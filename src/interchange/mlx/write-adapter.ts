import { InputError } from "../../errors.js";
import type { Adapter, AdapterLayer } from "../../lora/adapter.js";
import { MAGNITUDE } from "../../lora/variants/dora.js";
import type { ModelGraph } from "../../models/architecture.js";

/** What adapter_config.json of mlx-lm says. */
export interface MlxConfig {
  readonly fine_tune_type: "lora" | "dora";
  /** Blocks that have adapters, counted from the last. */
  readonly num_layers: number;
  readonly lora_parameters: {
    readonly rank: number;
    readonly scale: number;
    readonly dropout: number;
    /** Layers of each of them, by their paths inside the block. */
    readonly keys: readonly string[];
  };
}

/** A tensor of adapters.safetensors, in F32. */
export interface MlxTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** An adapter as mlx-lm takes it.                                                   mlx-lm: tuner/utils.py, lora.py, dora.py */
export interface MlxAdapter {
  readonly config: MlxConfig;
  readonly tensors: readonly MlxTensor[];
}

const IN_BLOCK = /^model\.layers\.(\d+)\.(.+)$/;

/**
 * An adapter as mlx-lm's: y + scale · (x·a)·b with a [in, r] and b [r, out], one rank and one scale for all, at the same layers of each
 * of the last blocks. Smaller ranks are filled up with zeros, as are layers that the adapter leaves alone; other scales go into b.
 *
 * @throws InputError with everything that mlx-lm's form cannot express, and what to do instead.
 */
export function mlxAdapter(adapter: Adapter, { linearGroups }: Pick<ModelGraph, "linearGroups">): MlxAdapter {
  const { config, layers } = adapter;
  const isDora = config.method === "dora";
  const adapted = new Map(layers.map((layer) => [layer.name, layer]));
  const places = linearGroups.flat().flatMap((layer) => {
    const [, block, key] = IN_BLOCK.exec(layer.name) ?? [];
    return block === undefined || key === undefined ? [] : [{ ...layer, block: Number(block), key }];
  });
  const own = places.filter(({ name }) => adapted.has(name));
  const keys = [...new Set(own.map(({ key }) => key))].sort();
  const first = Math.min(...own.map(({ block }) => block));
  const meant = places.filter(({ block, key }) => block >= first && keys.includes(key));
  refuseInexpressible(adapter, own.length, isDora ? meant.filter(({ name }) => !adapted.has(name)).map(({ name }) => name) : []);

  const rank = Math.max(...layers.map((layer) => layer.rank));
  const [{ scale } = { scale: 1 }] = layers;
  const blocks = Math.max(...places.map(({ block }) => block)) + 1;
  const zeros = (layer: (typeof meant)[number]): AdapterLayer => ({
    ...layer,
    rank,
    scale,
    a: new Float32Array(rank * layer.inputs),
    b: new Float32Array(layer.outputs * rank),
  });
  return {
    config: {
      fine_tune_type: isDora ? "dora" : "lora",
      num_layers: blocks - first,
      lora_parameters: { rank, scale, dropout: config.dropout, keys },
    },
    tensors: meant.flatMap((layer) => tensorsOf(adapted.get(layer.name) ?? zeros(layer), rank, scale)),
  };
}

function refuseInexpressible({ config, layers, trained = [] }: Adapter, inBlocks: number, missing: readonly string[]): void {
  const problems: string[] = [];
  if (config.method !== "lora" && config.method !== "dora")
    problems.push(`its layers are ${config.method}'s, where mlx-lm knows LoRA and DoRA`);
  if (trained.length > 0) problems.push(`${trained.map(({ name }) => name).join(", ")}: trained whole beside the adapter`);
  if (inBlocks < layers.length) {
    const outside = layers.find(({ name }) => !IN_BLOCK.test(name))?.name ?? "some layers";
    problems.push(`${outside} is none of model.layers, which mlx-lm adapts`);
  }
  if (missing.length > 0)
    problems.push(`mlx-lm's DoRA sits at the same layers of each block, and ${missing.slice(0, 3).join(", ")} has none`);
  if (problems.length === 0) return;
  throw new InputError(
    `The adapter cannot be one of mlx-lm:${problems.map((problem) => `\n- ${problem}`).join("")}\nFold it into its model instead: \`lorikeet merge\`.`,
  );
}

function tensorsOf(
  { name, inputs, outputs, rank: own, scale: ownScale, a, b, vectors }: AdapterLayer,
  rank: number,
  scale: number,
): MlxTensor[] {
  const ratio = scale === ownScale ? 1 : ownScale / scale;
  const turnedA = new Float32Array(inputs * rank);
  const turnedB = new Float32Array(rank * outputs);
  for (let r = 0; r < own; r++) {
    for (let i = 0; i < inputs; i++) turnedA[i * rank + r] = a[r * inputs + i] ?? 0;
    for (let o = 0; o < outputs; o++) turnedB[r * outputs + o] = (b[o * own + r] ?? 0) * ratio;
  }
  const magnitude = vectors?.get(MAGNITUDE);
  return [
    { name: `${name}.lora_a`, shape: [inputs, rank], values: turnedA },
    { name: `${name}.lora_b`, shape: [rank, outputs], values: turnedB },
    ...(magnitude === undefined ? [] : [{ name: `${name}.m`, shape: [outputs], values: magnitude }]),
  ];
}
