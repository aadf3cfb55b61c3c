import { z } from "zod";
import { InputError } from "../errors.js";
import { parseJsonText } from "../files/parse-json.js";
import { type AdapterConfig, type TaskType, taskTypes } from "./adapter.js";
import { MAX_RANK } from "./spec.js";
import { type Method, methods, variantOf } from "./variants/index.js";
import { biasChoices } from "./whole-tensors.js";

// adapter_config.json as PEFT 0.21.0 writes it. Field names are PEFT's inside this file and camelCase outside.

/** The version of PEFT whose fields are written. */
const PEFT_VERSION = "0.21.0";
/** A configuration names at most every layer of a model; a larger file is something else. */
const MAX_CONFIG_CHARACTERS = 10_000_000;

const names = z.union([z.string(), z.array(z.string())]);
const count = z.number().int().min(1).max(MAX_RANK);
const alpha = z.number();
const block = z.number().int().min(0);
const tokens = z.array(z.number().int().min(0)).min(1);

/** Only the fields that change what a plain LoRA computes; all have PEFT's defaults. */
const loraFields = z.object({
  base_model_name_or_path: z.string().nullish(),
  r: count.default(8),
  lora_alpha: alpha.default(8),
  lora_dropout: z.number().min(0).lt(1).default(0),
  target_modules: names.nullish(),
  exclude_modules: names.nullish(),
  layers_to_transform: z.union([block, z.array(block)]).nullish(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), count).nullish(),
  alpha_pattern: z.record(z.string(), alpha).nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  modules_to_save: z.array(z.string().min(1)).nullish(),
  bias: z.enum(biasChoices).nullish(),
  ensure_weight_tying: z.boolean().nullish(),
  trainable_token_indices: z.union([tokens, z.record(z.string(), tokens)]).nullish(),
  task_type: z.string().nullish(),
});

/** Fields that make an adapter more than a plain LoRA beside linear layers: what each asks for, in words. */
const unsupportedFields: Readonly<Record<string, string>> = {
  target_parameters: "adapted parameters outside linear layers (target_parameters)",
  layer_replication: "replicated layers (layer_replication)",
  use_qalora: "QALoRA (use_qalora)",
  use_bdlora: "block-diagonal LoRA (use_bdlora)",
  alora_invocation_tokens: "activated LoRA (alora_invocation_tokens)",
  arrow_config: "Arrow routing (arrow_config)",
  kasa_config: "KaSA (kasa_config)",
  monteclora_config: "MonteCLoRA (monteclora_config)",
};

/** Initialisations after which the base's weights are the checkpoint's own; the others (PiSSA, OLoRA, …) change them. */
const harmlessInitialisations: readonly unknown[] = [undefined, null, true, false, "gaussian", "eva", "orthogonal"];

/**
 * Reads adapter_config.json. Throws InputError for text that is none, and for every feature that is not supported, by name.
 *
 * @param anyStart take initialisations that change W, of which only the pairs of matrices are wanted
 */
export function readPeftConfig(text: string, file: string, anyStart = false): AdapterConfig {
  const value = parseJson(text, file);
  refuseUnsupported(value, file, anyStart);
  const method = methodOf(value, file);
  const form = variantOf(method).file;
  const parsed = loraFields.safeParse(form?.plainFields(value) ?? value);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `\n- ${issue.path.join(".") || "the file"}: ${issue.message}`);
    throw new InputError(`${file} is not a LoRA configuration as PEFT writes it:${problems.join("")}`);
  }
  const fields = parsed.data;
  const blocks = [fields.layers_to_transform ?? []].flat();
  return {
    method,
    baseModel: fields.base_model_name_or_path ?? undefined,
    rank: fields.r,
    alpha: fields.lora_alpha,
    dropout: fields.lora_dropout,
    rankStabilised: fields.use_rslora ?? false,
    rankPattern: fields.rank_pattern ?? {},
    alphaPattern: fields.alpha_pattern ?? {},
    targetModules: fields.target_modules ?? [],
    excludeModules: fields.exclude_modules ?? undefined,
    blocks: blocks.length === 0 ? undefined : blocks,
    initialisation: fields.init_lora_weights === "gaussian" ? "gaussian" : "peft",
    isConv1D: fields.fan_in_fan_out ?? false,
    taskType: taskTypeOf(fields.task_type),
    trainedModules: fields.modules_to_save ?? [],
    ...(form === undefined ? {} : { settings: form.settings(value) }),
    bias: fields.bias ?? "none",
    trainedTokens: tokensOf(fields.trainable_token_indices ?? [], file),
    tiesWeights: fields.ensure_weight_tying ?? false,
  };
}

/** The variant whose fields a configuration has. */
function methodOf(value: Readonly<Record<string, unknown>>, file: string): Method {
  const special = methods.filter((method) => {
    const fields = Object.entries(variantOf(method).peftFields);
    return fields.length > 0 && fields.every(([field, wanted]) => value[field] === wanted);
  });
  const [method = "lora"] = special;
  if (special.length < 2) return method;
  throw new InputError(
    `${file}: this adapter is ${special.join(" and ")} at once, which is not supported. In Python, merge it into its base.`,
  );
}

/** The tokens whose embeddings are trained. Of several matrices, as PEFT can have them, only those with the same tokens are one choice. */
function tokensOf(indices: readonly number[] | Readonly<Record<string, readonly number[]>>, file: string): readonly number[] | undefined {
  const [first, ...others] = Array.isArray(indices) ? [indices] : Object.values(indices);
  if (others.some((other) => String(other) !== String(first))) {
    throw new InputError(
      `${file}: trainable_token_indices names other tokens for ${Object.keys(indices).join(" and ")}, which is not supported. In Python, merge the adapter into its base with PEFT's merge_and_unload.`,
    );
  }
  return first === undefined || first.length === 0 ? undefined : first;
}

/** A file of another task, or of none, holds a plain adapter of the model's layers. */
function taskTypeOf(field: unknown): TaskType {
  return taskTypes.find((name) => name === field) ?? "CAUSAL_LM";
}

function parseJson(text: string, file: string): Readonly<Record<string, unknown>> {
  if (text.length > MAX_CONFIG_CHARACTERS) {
    throw new InputError(
      `${file} has ${text.length} characters; a configuration has at most ${MAX_CONFIG_CHARACTERS}. Is it another file?`,
    );
  }
  let value: unknown;
  try {
    value = parseJsonText(text);
  } catch (cause) {
    throw new InputError(`${file} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}. Save the adapter again.`, {
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InputError(`${file} must hold a JSON object with PEFT's fields; found ${Array.isArray(value) ? "a list" : String(value)}.`);
  }
  return Object.fromEntries(Object.entries(value));
}

function refuseUnsupported(value: Readonly<Record<string, unknown>>, file: string, anyStart: boolean): void {
  const { peft_type: type, init_lora_weights: start } = value;
  const types: unknown[] = [
    "LORA",
    ...methods.flatMap((method): unknown[] => [variantOf(method).peftFields.peft_type].filter((name) => name !== undefined)),
  ];
  if (!types.includes(type)) {
    const known = types.map((name) => JSON.stringify(name)).join(" and ");
    throw new InputError(`${file}: peft_type is ${JSON.stringify(type) ?? "missing"}; only ${known} adapters are read.`);
  }
  const found = Object.entries(unsupportedFields).flatMap(([field, words]) => (isSet(value[field]) ? [words] : []));
  const known = methods.some((method) => variantOf(method).peftFields.init_lora_weights === start);
  if (!anyStart && !harmlessInitialisations.includes(start) && !known) {
    found.push(`an initialisation that changes the base's weights (init_lora_weights: ${JSON.stringify(start)})`);
  }
  if (found.length === 0) return;
  throw new InputError(
    `${file}: this adapter uses ${found.join(", ")}, which is not supported: loading it as a plain LoRA would give another model. ` +
      "In Python, merge it into its base with PEFT's merge_and_unload, or save it converted to a plain LoRA; with the adapter that was saved before its training, `lorikeet convert --start` converts it.",
  );
}

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  if (Array.isArray(value)) return value.length > 0;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

/** The text of adapter_config.json: PEFT's 41 fields, sorted. */
export function writePeftConfig(config: AdapterConfig): string {
  const variant = variantOf(config.method);
  const fields: Readonly<Record<string, unknown>> = {
    alora_invocation_tokens: null,
    alpha_pattern: config.alphaPattern,
    arrow_config: null,
    auto_mapping: null,
    base_model_name_or_path: config.baseModel ?? null,
    bias: config.bias,
    corda_config: null,
    ensure_weight_tying: config.tiesWeights,
    eva_config: null,
    exclude_modules: config.excludeModules ?? null,
    fan_in_fan_out: config.isConv1D,
    inference_mode: true,
    init_lora_weights: config.initialisation === "gaussian" ? "gaussian" : true,
    kasa_config: null,
    layer_replication: null,
    layers_pattern: null,
    layers_to_transform: config.blocks ?? null,
    loftq_config: {},
    lora_alpha: config.alpha,
    lora_bias: false,
    lora_dropout: config.dropout,
    lora_ga_config: null,
    megatron_config: null,
    megatron_core: "megatron.core",
    modules_to_save: config.trainedModules.length === 0 ? null : config.trainedModules,
    monteclora_config: null,
    peft_type: "LORA",
    peft_version: PEFT_VERSION,
    qalora_group_size: 16,
    r: config.rank,
    rank_pattern: config.rankPattern,
    revision: null,
    target_modules: config.targetModules,
    target_parameters: null,
    task_type: config.taskType,
    trainable_token_indices: config.trainedTokens ?? null,
    use_bdlora: null,
    use_dora: false,
    use_qalora: false,
    use_rslora: config.rankStabilised,
    velora_config: null,
    ...variant.peftFields,
    ...variant.trace?.(config.settings ?? {}),
  };
  const written = variant.file?.config(fields, { ...config, settings: config.settings ?? {} }) ?? fields;
  return `${JSON.stringify(written, null, 2)}\n`;
}
