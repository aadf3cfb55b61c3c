import * as z from "zod";
import { InputError } from "../../errors.js";
import type { Adapter, AdapterLayer } from "../../lora/adapter.js";
import { transposed } from "../../lora/kernels/products.js";
import { MAX_RANK } from "../../lora/spec.js";
import { MAGNITUDE } from "../../lora/variants/dora.js";
import type { Checkpoint } from "../../weights/checkpoint.js";

/** What is asked of mlx-lm's adapter_config.json; it holds all options of the training beside. */
const schema = z.object({
  fine_tune_type: z.enum(["lora", "dora"]).default("lora"),
  model: z.string().optional(),
  lora_parameters: z.object({
    rank: z.int().min(1).max(MAX_RANK),
    scale: z.number(),
    dropout: z.number().min(0).lt(1).default(0),
  }),
});

/** Whether a configuration is mlx-lm's. */
export const isMlxConfig = (value: unknown): boolean => typeof value === "object" && value !== null && "lora_parameters" in value;

/**
 * The adapter that mlx-lm saved: adapter_config.json, and a [in, r] and b [r, out] of each layer, with DoRA's magnitude as `m`.
 *
 * @param value the configuration, parsed
 * @param file for messages
 * @throws InputError with everything that does not fit together.
 */
export async function readMlxAdapter(value: unknown, checkpoint: Checkpoint, file: string): Promise<Adapter> {
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new InputError(`${file}: adapter_config.json is not one of mlx-lm's LoRA or DoRA: ${z.prettifyError(parsed.error)}`);
  const { fine_tune_type: method, model, lora_parameters: parameters } = parsed.data;
  const { rank, scale, dropout } = parameters;
  const problems = [...checkpoint.unreadable].map(([name, type]) => `${name} is stored as ${type}; F32, F16 and BF16 are read`);
  const layers: AdapterLayer[] = [];
  for (const [name, parts] of sortOut(checkpoint, problems)) {
    const layer = await layerOf(name, parts, { rank, scale, isDora: method === "dora", checkpoint });
    if (typeof layer === "string") problems.push(layer);
    else layers.push(layer);
  }
  if (layers.length === 0 && problems.length === 0) problems.push("it holds no tensor");
  if (problems.length > 0) throw new InputError(`${file} is not a usable adapter:${problems.map((problem) => `\n- ${problem}`).join("")}`);
  const config: Adapter["config"] = {
    method,
    baseModel: model,
    rank,
    alpha: scale * rank,
    dropout,
    rankStabilised: false,
    rankPattern: {},
    alphaPattern: {},
    targetModules: layers.map(({ name }) => name),
    excludeModules: undefined,
    blocks: undefined,
    initialisation: "peft",
    isConv1D: false,
    taskType: "CAUSAL_LM",
    trainedModules: [],
    bias: "none",
    tiesWeights: false,
  };
  return { config, layers };
}

type Part = "lora_a" | "lora_b" | "m";

function sortOut(checkpoint: Checkpoint, problems: string[]): ReadonlyMap<string, ReadonlySet<Part>> {
  const found = new Map<string, Set<Part>>();
  for (const key of checkpoint.tensors.keys()) {
    const [, layer, part] = /^(.+)\.(lora_a|lora_b|m)$/.exec(key) ?? [];
    if (layer === undefined) problems.push(`${key} is neither a lora_a, a lora_b nor an m, which is not supported`);
    else if (layer.endsWith("embed_tokens")) problems.push(`${key}: the adapter of an embedding is not supported`);
    else found.set(layer, (found.get(layer) ?? new Set()).add(part as Part));
  }
  return found;
}

interface Reading {
  readonly rank: number;
  readonly scale: number;
  readonly isDora: boolean;
  readonly checkpoint: Checkpoint;
}

/** A layer, or what is wrong with it. */
async function layerOf(
  name: string,
  parts: ReadonlySet<Part>,
  { rank, scale, isDora, checkpoint }: Reading,
): Promise<AdapterLayer | string> {
  const shape = (part: Part) => checkpoint.tensors.get(`${name}.${part}`)?.shape ?? [];
  const [inputs = 0, ranksOfA] = shape("lora_a");
  const [ranksOfB, outputs = 0] = shape("lora_b");
  if (ranksOfA !== rank || ranksOfB !== rank || shape("lora_a").length !== 2 || shape("lora_b").length !== 2 || inputs * outputs === 0)
    return `${name}: lora_a is [${shape("lora_a").join(", ")}] and lora_b [${shape("lora_b").join(", ")}]; rank ${rank} needs [inputs, ${rank}] and [${rank}, outputs]`;
  if (isDora !== parts.has("m") || (isDora && shape("m").join() !== String(outputs)))
    return `${name}: m is ${shape("m").join(" × ") || "missing"}; ${isDora ? `DoRA needs ${outputs} values` : "LoRA has none"}`;
  const read = (part: Part) => checkpoint.readFloat32(`${name}.${part}`);
  const [a, b] = [
    Float32Array.from(transposed(await read("lora_a"), inputs, rank)),
    Float32Array.from(transposed(await read("lora_b"), rank, outputs)),
  ];
  const vectors = isDora ? new Map([[MAGNITUDE, await read("m")]]) : undefined;
  if (![a, b, ...(vectors?.values() ?? [])].every((values) => values.every(Number.isFinite)))
    return `${name} holds values that are not finite`;
  return { name, inputs, outputs, rank, scale, a, b, ...(vectors === undefined ? {} : { vectors }) };
}
