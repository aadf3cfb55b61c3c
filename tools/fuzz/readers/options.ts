import { join } from "node:path";
import { stringify } from "yaml";
import { importConfig } from "../../../src/workflows/node/import-config.js";
import { readOptionsFile } from "../../../src/workflows/node/options-file.js";
import { inFile, infoOf, parseOptions, trainSet } from "../../../src/workflows/options.js";
import type { Reader } from "../input.js";
import { each, encoded, foldersWith } from "./seeds.js";

// Readers of files of options.

const given = { model: "smollm2-135m", data: "rows.jsonl", out: "out/run", epochs: 2, batchSize: 4 };

/** Every option that may stand beside those, with its default. */
function complete(): Record<string, unknown> {
  const values: Record<string, unknown> = { ...given };
  for (const name of Object.keys(trainSet.shape)) {
    const { default: value } = infoOf(trainSet.shape, name);
    if (value !== undefined && trainSet.rules({ ...values, [name]: value }, (one) => one).length === 0) values[name] ??= value;
  }
  return values;
}

const runYaml: Reader = {
  name: "run.yaml",
  seeds: async () =>
    [given, complete(), { ...given, layers: ["q_proj", "v_proj"], betas: [0.9, 0.99] }].map(
      (options) => new Map([["run.yaml", encoded(stringify(options))]]),
    ),
  async read(folder) {
    const path = join(folder, "run.yaml");
    parseOptions(trainSet, readOptionsFile(path), inFile(path));
  },
};

const sft = {
  model_name_or_path: "HuggingFaceTB/SmolLM2-135M",
  dataset_name: "trl-lib/Capybara",
  learning_rate: 2e-4,
  num_train_epochs: 1,
  per_device_train_batch_size: 2,
  gradient_accumulation_steps: 8,
  lr_scheduler_type: "cosine",
  use_peft: true,
  lora_r: 16,
  lora_alpha: 32,
  output_dir: "out",
  bf16: true,
};

const pythonConfig: Reader = {
  name: "python-configs",
  async seeds() {
    const adapters = foldersWith("adapter_config.json").filter((_, index) => index % 8 === 0);
    const configs = each(
      "adapter_config.json",
      adapters.map((folder) => join(folder, "adapter_config.json")),
    );
    return configs.map((seed) => new Map([...seed, ["sft.yaml", encoded(stringify(sft))] as const]));
  },
  read: (folder, out) => importConfig({ peft: join(folder, "adapter_config.json"), trl: join(folder, "sft.yaml"), out }),
};

export const optionReaders: readonly Reader[] = [runYaml, pythonConfig];
