import { type Carried, carry, type Fate, type FieldRule, type Fields, idle, isUnset, lost, onlyAt, renamed } from "./fate.js";

/** Defaults of PEFT 0.21's LoraConfig where `train` has others. */
const defaults: Fields = { r: 8, lora_alpha: 8, lora_dropout: 0, init_lora_weights: true, target_modules: null };

/** A LoraConfig, or the adapter_config.json that it became, as options of `train`. */
export function fromPeft(given: Fields): Carried {
  return carry(given, rules, defaults);
}

const rules: Readonly<Record<string, FieldRule>> = {
  peft_type: onlyAt(["LORA"], "Lorikeet trains LoRA and its kin"),
  base_model_name_or_path: (value) => (isUnset(value) ? idle : { kind: "options", options: { model: value } }),
  r: renamed("rank"),
  lora_alpha: renamed("alpha"),
  lora_dropout: renamed("dropout"),
  target_modules: (value) => (isUnset(value) ? { kind: "options", options: { layers: "peft" } } : layers("layers", value)),
  exclude_modules: (value) => (isUnset(value) ? idle : layers("exclude", value)),
  layers_to_transform: (value) => (isUnset(value) ? idle : { kind: "options", options: { blocks: [value].flat() } }),
  rank_pattern: (value) => (isUnset(value) ? idle : { kind: "options", options: { rankPattern: value } }),
  alpha_pattern: (value) => (isUnset(value) ? idle : { kind: "options", options: { alphaPattern: value } }),
  use_rslora: (value) => (value === true ? { kind: "options", options: { rslora: true } } : idle),
  lora_bias: (value) => (value === true ? { kind: "options", options: { method: "lora-bias" } } : idle),
  use_dora: (value) => (value === true ? { kind: "options", options: { method: "dora" } } : idle),
  init_lora_weights: startOf,
  task_type: (value) => taskOf(value),
  bias: renamed("bias"),
  modules_to_save: modulesOf,
  trainable_token_indices: tokensOf,
  ensure_weight_tying: (value) => (value === true ? { kind: "options", options: { tieWeights: true } } : idle),
  // What follows says how PEFT stores or runs an adapter, and nothing of what it is.
  auto_mapping: () => idle,
  fan_in_fan_out: () => idle,
  inference_mode: () => idle,
  layers_pattern: () => idle,
  megatron_core: () => idle,
  peft_version: () => idle,
  qalora_group_size: () => idle,
  revision: onlyAt(["main"], "give the revision with the model's name or download it: the Hub's main is taken"),
};

/** Names, "all-linear", or a regular expression that must match the whole path. */
function layers(option: string, value: unknown): Fate {
  if (Array.isArray(value) || value === "all-linear") return { kind: "options", options: { [option]: value } };
  if (typeof value !== "string") return lost("expected names of layers, or a regular expression");
  return { kind: "options", options: { [option]: /^\w+$/.test(value) ? [value] : `/${value}/` } };
}

/** Modules that are trained whole; the heads of a classification are anyway. */
function modulesOf(value: unknown): Fate {
  if (isUnset(value)) return idle;
  const names = [value].flat().filter((name) => name !== "classifier" && name !== "score");
  return names.length === 0 ? idle : { kind: "options", options: { modulesToSave: names } };
}

/** Tokens of the table of embeddings; of several matrices where they are the same, as PEFT ties them. */
function tokensOf(value: unknown): Fate {
  if (isUnset(value)) return idle;
  const [tokens, ...others]: unknown[] = Array.isArray(value) ? [value] : Object.values(Object(value));
  if (others.some((other) => String(other) !== String(tokens))) return lost("different tokens of several matrices are not trained here");
  return { kind: "options", options: { trainableTokens: tokens } };
}

/** How A and B start. */
function startOf(value: unknown): Fate {
  if (value === true) return { kind: "options", options: { initialisation: "peft" } };
  if (value === "gaussian") return { kind: "options", options: { initialisation: "gaussian" } };
  if (value === "olora") return { kind: "options", options: { method: "olora" } };
  if (value === "pissa") return { kind: "options", options: { method: "pissa", svdRounds: 0 } };
  const rounds = typeof value === "string" ? /^pissa_niter_(\d+)$/.exec(value)?.[1] : undefined;
  if (rounds !== undefined) return { kind: "options", options: { method: "pissa", svdRounds: Number(rounds) } };
  return lost("Lorikeet starts an adapter in other ways: see docs/methods.md");
}

function taskOf(value: unknown): Fate {
  if (isUnset(value) || value === "CAUSAL_LM") return idle;
  if (value === "SEQ_CLS") return { kind: "options", options: { task: "classification" } };
  if (value === "TOKEN_CLS") return { kind: "options", options: { task: "token-classification" } };
  if (value === "FEATURE_EXTRACTION") return { kind: "options", options: { task: "embedding" } };
  return lost("Lorikeet has the tasks sft, classification, token-classification, regression and embedding");
}
