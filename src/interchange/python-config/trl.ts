import { type Carried, carry, type Fate, type FieldRule, type Fields, idle, isUnset, lost, onlyAt, renamed } from "./fate.js";
import { fromPeft } from "./peft.js";

/** Defaults of TRL 1.16's SFTConfig where `train` has others. */
const defaults: Fields = {
  per_device_train_batch_size: 8,
  num_train_epochs: 3,
  learning_rate: 2e-5,
  lr_scheduler_type: "linear",
  warmup_steps: 0,
  max_length: 1024,
  gradient_checkpointing: true,
};

/** Fields of TRL's ModelConfig that make a LoraConfig, by PEFT's names, with their defaults. */
const adapterFields: Readonly<Record<string, { readonly peft: string; readonly default?: unknown }>> = {
  lora_r: { peft: "r", default: 16 },
  lora_alpha: { peft: "lora_alpha", default: 32 },
  lora_dropout: { peft: "lora_dropout", default: 0.05 },
  lora_target_modules: { peft: "target_modules" },
  lora_target_parameters: { peft: "target_parameters" },
  lora_modules_to_save: { peft: "modules_to_save" },
  lora_task_type: { peft: "task_type" },
  use_rslora: { peft: "use_rslora" },
  use_dora: { peft: "use_dora" },
};

/** What `trl sft --config FILE` takes (SFTConfig, ModelConfig and ScriptArguments in one), as options of `train`. */
export function fromTrl(given: Fields): Carried {
  const own = Object.entries(given).filter(([field]) => !(field in adapterFields));
  const training = carry(Object.fromEntries(own), rules, defaults);
  if (given.use_peft !== true) return training;
  const adapter = Object.entries(adapterFields).map(([field, { peft, default: byDefault }]) => [peft, given[field] ?? byDefault] as const);
  const { options, lost: lostFields } = fromPeft(Object.fromEntries(adapter.filter(([, value]) => value !== undefined)));
  return { options: { ...training.options, ...options }, lost: [...training.lost, ...lostFields] };
}

/** Fields that say where and how Python computes, logs and saves, and nothing of what is learned. */
const idleFields = [
  ..."bf16 fp16 bf16_full_eval fp16_full_eval tf32 dtype torch_dtype attn_implementation torch_compile torch_compile_backend torch_compile_mode".split(
    " ",
  ),
  ..."use_liger_kernel liger_kernel_config use_cache gradient_checkpointing_kwargs torch_empty_cache_steps auto_find_batch_size".split(" "),
  ..."activation_offloading packing packing_strategy eval_packing padding_free pad_to_multiple_of pad_token shuffle_dataset".split(" "),
  ..."logging_strategy logging_steps logging_first_step logging_dir log_level log_level_replica log_on_each_node report_to run_name project".split(
    " ",
  ),
  ..."disable_tqdm eval_strategy eval_delay per_device_eval_batch_size eval_on_start eval_accumulation_steps save_strategy".split(" "),
  ..."save_total_limit save_only_model load_best_model_at_end metric_for_best_model greater_is_better push_to_hub hub_model_id".split(" "),
  ..."hub_strategy hub_private_repo hub_token resume_from_checkpoint use_cpu dataloader_num_workers dataloader_pin_memory".split(" "),
  ..."dataloader_persistent_workers dataloader_prefetch_factor dataset_num_proc dataset_kwargs remove_unused_columns ddp_timeout".split(
    " ",
  ),
  ..."ddp_find_unused_parameters full_determinism data_seed do_train do_eval do_predict trust_remote_code use_bnb_nested_quant".split(" "),
  ..."bnb_4bit_quant_type bnb_4bit_quant_storage model_revision overwrite_output_dir logging_nan_inf_filter".split(" "),
];

const rules: Readonly<Record<string, FieldRule>> = {
  ...Object.fromEntries(idleFields.map((field) => [field, () => idle])),
  model_name_or_path: renamed("model"),
  output_dir: renamed("out"),
  dataset_name: datasetOf,
  datasets: () => lost("a mixture of data sets: write their rows into one file, and give it with --data"),
  dataset_config: onlyAt([], "give the data as a file, with --data"),
  dataset_train_split: onlyAt(["train"], "give the data as a file, with --data"),
  dataset_test_split: () => idle,
  dataset_text_field: onlyAt(["text"], 'name the texts "text" in the file'),
  use_peft: (value) => (value === true ? idle : lost("all weights are trained there; here an adapter is")),
  num_train_epochs: (value, { max_steps: steps }) => (isPositive(steps) ? idle : { kind: "options", options: { epochs: value } }),
  max_steps: (value) => (isPositive(value) ? { kind: "options", options: { steps: value } } : idle),
  per_device_train_batch_size: renamed("batchSize"),
  gradient_accumulation_steps: renamed("accumulate"),
  learning_rate: renamed("lr"),
  lr_scheduler_type: scheduleOf,
  lr_scheduler_kwargs: onlyAt([], "schedules have no further settings here"),
  warmup_steps: warmupOf,
  warmup_ratio: renamed("warmup"),
  optim: optimizerOf,
  optim_args: onlyAt([], "give momentum with --momentum"),
  weight_decay: renamed("weightDecay"),
  adam_beta1: betasOf,
  adam_beta2: betasOf,
  adam_epsilon: onlyAt([1e-8], "adamw divides with 1e-8 here"),
  max_grad_norm: renamed("clip"),
  seed: renamed("seed"),
  max_length: (value) =>
    value === null ? lost("every example is cut somewhere here: see --max-length") : { kind: "options", options: { maxLength: value } },
  truncation_mode: onlyAt(["keep_start"], "long examples are cut at their end"),
  gradient_checkpointing: (value) => ({ kind: "options", options: { gradientCheckpointing: value === true ? "on" : "off" } }),
  eval_steps: (value) => (isPositive(value) ? { kind: "options", options: { evalEvery: value } } : idle),
  save_steps: (value) => (isPositive(value) ? { kind: "options", options: { saveEvery: value } } : idle),
  load_in_8bit: (value) => (value === true ? { kind: "options", options: { precision: "int8" } } : idle),
  load_in_4bit: (value) => (value === true ? { kind: "options", options: { precision: "4bit" } } : idle),
  completion_only_loss: (value) => (value === false ? lost("prompts are never learned here: write rows as plain text for that") : idle),
  assistant_only_loss: () => idle,
  loss_type: onlyAt(["nll", "chunked_nll"], "the loss is the negative log-likelihood here"),
  label_smoothing_factor: onlyAt([0], "targets are not smoothed here"),
  neftune_noise_alpha: onlyAt([0], "no noise is added to embeddings here"),
  eos_token: onlyAt([], "the model's own files say what ends an answer"),
  chat_template_path: onlyAt([], "the model's own chat template is taken: put another into its folder"),
  router_aux_loss_coef: onlyAt([0], "models with experts are not trained here"),
  train_sampling_strategy: onlyAt(["random", "group_by_length"], "batches are drawn at random from examples of like length"),
};

const isPositive = (value: unknown): boolean => typeof value === "number" && value > 0;

/** A file is taken; a data set of the Hub is not. */
function datasetOf(value: unknown): Fate {
  if (isUnset(value)) return idle;
  const isFile = typeof value === "string" && /\.(jsonl|json|csv)(\.gz)?$/.test(value);
  return isFile
    ? { kind: "options", options: { data: value } }
    : lost("a data set of the Hub: save its rows as a file, and give it with --data");
}

function scheduleOf(value: unknown): Fate {
  if (value === "linear" || value === "cosine") return { kind: "options", options: { schedule: value } };
  // transformers' "constant" has no warm-up at all.
  if (value === "constant") return { kind: "options", options: { schedule: "constant", warmup: 0 } };
  if (value === "constant_with_warmup") return { kind: "options", options: { schedule: "constant" } };
  return lost("schedules are constant, linear and cosine here");
}

/** Below 1 a share of the run, else updates, of which a share is made where the run's length is known. */
function warmupOf(value: unknown, { max_steps: steps, warmup_ratio: ratio, lr_scheduler_type: schedule }: Fields): Fate {
  if (schedule === "constant" || (!isUnset(ratio) && !isPositive(value))) return idle;
  if (typeof value !== "number" || value < 0) return lost("expected a number of updates");
  if (value < 1) return { kind: "options", options: { warmup: value } };
  if (typeof steps === "number" && steps > 0) return { kind: "options", options: { warmup: Math.min(1, value / steps) } };
  return lost("warm-up is a share of the run here: give --warmup, these updates divided by all");
}

function optimizerOf(value: unknown): Fate {
  if (typeof value === "string" && /^(adamw_torch(_fused)?|adamw_hf)$/.test(value)) return idle;
  if (value === "sgd") return { kind: "options", options: { optimizer: "sgd", momentum: 0 } };
  return lost("optimizers are adamw and sgd here; adamw is taken");
}

function betasOf(_value: unknown, { adam_beta1: first = 0.9, adam_beta2: second = 0.999, optim }: Fields): Fate {
  return optim === "sgd" ? idle : { kind: "options", options: { betas: [first, second] } };
}
