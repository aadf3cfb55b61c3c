import type { AdapterLayer } from "../layer.js";
import { A, B, E } from "./adalora-names.js";
import { valuesOf } from "./lora.js";
import type { PeftFields, RankBudget, ShapedValues, VariantSettings } from "./variant.js";

// AdaLoRA in PEFT's files: pruned triplets are left out, and the configuration's `rank_pattern` says which.

/** PEFT's defaults of the running means, which are the paper's. */
const BETA = 0.85;

export function tripletFields(
  fields: PeftFields,
  { rank, settings: { budget, masks } }: { readonly rank: number; readonly settings: VariantSettings },
): PeftFields {
  const { targetRank = rank, orthogonality = 0.5, steps } = budget ?? {};
  const { initial = 0, final = 0, every = 1, total = 1 } = steps ?? {};
  const pattern = masks && Object.fromEntries(Object.entries(masks).map(([layer, mask]) => [`${layer}.${E}`, mask]));
  const own = { target_r: targetRank, init_r: rank, tinit: initial, tfinal: final, deltaT: every, beta1: BETA, beta2: BETA };
  const all = { ...fields, ...own, orth_reg_weight: orthogonality, total_step: total, rank_pattern: pattern ?? null };
  const written = { ...all, peft_type: "ADALORA", r: 8, init_lora_weights: true }; // PEFT leaves r at its default
  return Object.fromEntries(Object.entries(written).sort(([x], [y]) => (x < y ? -1 : 1)));
}

/** Which triplets a file has is a matter of their number: when they are read, they are the first ones. */
export function tripletSettings(fields: PeftFields): VariantSettings {
  const number = (field: string, byDefault: number) => (typeof fields[field] === "number" ? fields[field] : byDefault);
  const budget: RankBudget = {
    targetRank: number("target_r", 8),
    orthogonality: number("orth_reg_weight", 0.5),
    steps: { initial: number("tinit", 0), final: number("tfinal", 0), every: number("deltaT", 1), total: number("total_step", 1) },
  };
  const { rank_pattern: pattern } = fields;
  if (typeof pattern !== "object" || pattern === null) return { budget };
  const masks = Object.entries(pattern).flatMap(([key, mask]: [string, unknown]) =>
    Array.isArray(mask)
      ? [[key.replace(/\.lora_E(\.\w+)?$/, ""), mask.map((_, index) => index < mask.filter((kept) => kept === true).length)] as const]
      : [],
  );
  return { budget, masks: Object.fromEntries(masks) };
}

export function tripletTensors(layer: AdapterLayer, { masks }: VariantSettings): ReadonlyMap<string, ShapedValues> {
  const { name, rank, inputs, outputs, a, b, vectors = new Map() } = layer;
  const e = valuesOf(vectors, E);
  const mask = masks?.[name];
  const kept = [...e.keys()].filter((r) => mask?.[r] ?? true);
  const count = kept.length;
  const rowsOfA = new Float32Array(count * inputs);
  for (const [to, from] of kept.entries()) rowsOfA.set(a.subarray(from * inputs, (from + 1) * inputs), to * inputs);
  const columnsOfB = Float32Array.from(
    { length: outputs * count },
    (_, at) => b[Math.floor(at / count) * rank + (kept[at % count] ?? 0)] ?? 0,
  );
  return new Map([
    [A, { shape: [count, inputs], values: rowsOfA }],
    [B, { shape: [outputs, count], values: columnsOfB }],
    [E, { shape: [count, 1], values: Float32Array.from(kept, (r) => e[r] ?? 0) }],
  ]);
}

/** A layer with as many triplets as all had at first: those that the file lacks are zero. */
export function readTriplet(
  { name, rank, scale }: Pick<AdapterLayer, "name" | "rank" | "scale">,
  tensors: ReadonlyMap<string, ShapedValues>,
): AdapterLayer | string {
  const [a, b, e] = [A, B, E].map((parameter) => tensors.get(parameter));
  const [count = 0, inputs = 0] = a?.shape ?? [];
  const [outputs = 0] = b?.shape ?? [];
  const fits =
    [a?.shape, b?.shape, e?.shape].map((shape) => shape?.join()).join(" ") === `${count},${inputs} ${outputs},${count} ${count},1`;
  if (a === undefined || b === undefined || e === undefined || !fits || inputs === 0 || outputs === 0 || count > rank) {
    const shapes = [a, b, e].map((tensor) => `[${tensor?.shape.join(", ") ?? "missing"}]`).join(", ");
    return `${name}: ${A}, ${B} and ${E} are ${shapes}; at most rank ${rank} (init_r) needs [rank, inputs], [outputs, rank] and [rank, 1]`;
  }
  const [allA, allB, allE] = [new Float32Array(rank * inputs), new Float32Array(outputs * rank), new Float32Array(rank)];
  allA.set(a.values);
  allE.set(e.values);
  for (let at = 0; at < b.values.length; at++) allB[Math.floor(at / count) * rank + (at % count)] = b.values[at] ?? 0;
  return { name, rank, scale, inputs, outputs, a: allA, b: allB, vectors: new Map([[E, allE]]) };
}
