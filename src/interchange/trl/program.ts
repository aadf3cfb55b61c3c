import type { OptimizerSettings } from "../../training/optimizer.js";
import type { Schedule } from "../../training/schedule.js";

/** A run as TRL needs it told. */
export interface TrlRun {
  /** A folder with safetensors, or a GGUF file. */
  readonly model: string;
  readonly updates: number;
  readonly batchSize: number;
  readonly accumulate: number;
  readonly learningRate: number;
  readonly schedule: Schedule;
  /** Longest gradient; 0 for no clipping. */
  readonly clip: number;
  readonly optimizer: OptimizerSettings;
  /** How many times faster B learns than A. */
  readonly loraPlusRatio: number;
  /** Ends of names of adapter tensors that are not trained. */
  readonly frozen: readonly string[];
  readonly seed: number;
  readonly gradientCheckpointing: boolean;
  /** Updates between two measurements; undefined where nothing is held out. */
  readonly evaluateEvery: number | undefined;
}

/** Versions that the program was run with. */
export const TRL_REQUIREMENTS = ["torch==2.13.0", "transformers==5.17.0", "peft==0.21.0", "trl==1.16.0", "datasets==5.2.0", "gguf==0.19.0"];

/**
 * The text of a Python program that trains with TRL's SFTTrainer what a run of Lorikeet trains. It lies beside `train.jsonl` and
 * `valid.jsonl` (rows of `input_ids` and `labels`), `batches.json` (rows of each batch, in the run's order), and `start/`, the adapter
 * before its first update.
 */
export function trlProgram(run: TrlRun): string {
  return `"""The run of run.yaml with TRL: the same rows in the same batches, the same start, rates and optimizer.

pip install -r requirements.txt
python train.py                     # all of it
python train.py --steps 5           # the first updates alone
"""

import argparse
import json
from pathlib import Path

import torch
from datasets import Dataset
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer, get_scheduler
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).parent
MODEL = ${python(run.model)}
# float32 gives the losses of the run with --precision fp32; bfloat16 is faster on most graphics cards.
DTYPE = torch.float32
UPDATES = ${run.updates}


class RunOrder(SFTTrainer):
    """Takes the batches of the run. Leave get_train_dataloader out to let TRL shuffle by itself, as for several cards."""

    def get_train_dataloader(self):
        batches = json.loads((HERE / "batches.json").read_text())
        loader = DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)


def rows(name):
    return Dataset.from_list([json.loads(line) for line in (HERE / name).read_text().splitlines()])


def load_model():
    path = Path(MODEL)
    gguf = path.suffix == ".gguf"
    place = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name} if gguf else {"pretrained_model_name_or_path": MODEL}
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=DTYPE)
    tokenizer = AutoTokenizer.from_pretrained(**place)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return PeftModel.from_pretrained(model, HERE / "start", is_trainable=True), tokenizer


def optimizer_of(model):
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
${optimizerLines(run)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=UPDATES)
    parser.add_argument("--out", default=str(HERE / "trained"))
    given = parser.parse_args()
    model, tokenizer = load_model()
${frozenLines(run.frozen)}    arguments = SFTConfig(
        output_dir=given.out,
        max_steps=given.steps,
        per_device_train_batch_size=${run.batchSize},
        gradient_accumulation_steps=${run.accumulate},
        learning_rate=${run.learningRate},
        max_grad_norm=${run.clip},
        max_length=None,
        bf16=DTYPE == torch.bfloat16,
        gradient_checkpointing=${run.gradientCheckpointing ? "True" : "False"},
        logging_steps=1,
        save_strategy="no",
        seed=${run.seed},
        report_to="none",
${evaluationLines(run)}    )
    optimizer = optimizer_of(model)
    scheduler = get_scheduler(${python(schedulerOf(run.schedule))}, optimizer, ${run.schedule.warmupSteps}, UPDATES)
    trainer = RunOrder(
        model=model,
        args=arguments,
        train_dataset=rows("train.jsonl"),
${run.evaluateEvery === undefined ? "" : '        eval_dataset=rows("valid.jsonl"),\n'}        processing_class=tokenizer,
        optimizers=(optimizer, scheduler),
    )
    trainer.train()
    trainer.save_model(given.out)
    (Path(given.out) / "log.json").write_text(json.dumps(trainer.state.log_history, indent=1))


if __name__ == "__main__":
    main()
`;
}

/** A text as a Python literal: JSON's escapes are Python's. */
const python = (text: string): string => JSON.stringify(text);

const schedulerOf = ({ kind }: Schedule): string => (kind === "constant" ? "constant_with_warmup" : kind);

function optimizerLines({ optimizer, learningRate, loraPlusRatio }: TrlRun): string {
  const groups =
    loraPlusRatio === 1
      ? ["    groups = [weight for _, weight in named]"]
      : [
          `    # LoRA+: the output's side learns ${loraPlusRatio} times as fast.`,
          '    fast = [weight for name, weight in named if "lora_B" in name or "lora_magnitude" in name]',
          '    slow = [weight for name, weight in named if "lora_B" not in name and "lora_magnitude" not in name]',
          `    groups = [{"params": slow}, {"params": fast, "lr": ${learningRate} * ${loraPlusRatio}}]`,
        ];
  const { weightDecay } = optimizer;
  const made =
    optimizer.kind === "adamw"
      ? `    return torch.optim.AdamW(groups, lr=${learningRate}, betas=(${optimizer.beta1}, ${optimizer.beta2}), eps=${optimizer.epsilon}, weight_decay=${weightDecay})`
      : `    return torch.optim.SGD(groups, lr=${learningRate}, momentum=${optimizer.momentum}, weight_decay=${weightDecay})`;
  return [...groups, made].join("\n");
}

function frozenLines(frozen: readonly string[]): string {
  if (frozen.length === 0) return "";
  return `    for name, weight in model.named_parameters():
        if any(part in name for part in ${JSON.stringify(frozen)}):
            weight.requires_grad_(False)
`;
}

function evaluationLines({ evaluateEvery }: TrlRun): string {
  if (evaluateEvery === undefined) return "";
  return `        eval_strategy="steps",\n        eval_steps=${evaluateEvery},\n`;
}
