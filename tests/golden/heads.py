"""Makes the goldens of heads on a decoder (tests/models/heads.test.ts): the tiny Llama of make.py with `score` behind it.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0. On the CPU, in fp32, with fixed seeds.

    python tests/golden/heads.py

writes tests/golden/tiny-llama-heads/: for a classification of texts whose classes have weights (`sequence`), one of tokens (`token`) and
a regression (`value`) an adapter on all linear layers with the head trained beside it, and what transformers and PEFT make of them, as
encoders.py does for encoders.
"""

import shutil

import torch
import transformers
from peft import LoraConfig, get_peft_model

from contract import ALPHA, RANK
from encoders import ADAMW, BATCHES, LABELS, gradients, trajectory
from make import HERE, IGNORED, LINEAR_NAMES, adapter_state, randomise_b, save_adapter, write_golden

NAME = "tiny-llama-heads"
CLASS_WEIGHTS = torch.tensor([1.0, 2.5, 0.5])
VALUES = [torch.tensor([0.75, -1.5]), torch.tensor([2.0, 0.25, -0.5])]


class Task:
    def __init__(self, kind):
        self.kind = kind
        self.peft_type = "TOKEN_CLS" if kind == "token" else "SEQ_CLS"
        classes = transformers.LlamaForTokenClassification if kind == "token" else transformers.LlamaForSequenceClassification
        torch.manual_seed(500)
        base = classes.from_pretrained(
            HERE / "tiny-llama", dtype=torch.float32, attn_implementation="eager", num_labels=1 if kind == "value" else LABELS, pad_token_id=0
        )
        base.name_or_path = base.config._name_or_path = "tiny-llama"
        generator = torch.Generator().manual_seed(501)
        with torch.no_grad():
            for weight in base.score.parameters():  # larger than transformers' 0.02, so that gradients reach the layers below
                weight.copy_(0.25 * torch.randn(weight.shape, generator=generator))
        self.base = base.eval()

    def logits(self, model, batch):
        found = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return found[batch["tokenLabels"] != IGNORED] if self.kind == "token" else found

    def loss(self, model, batch, reduction="mean"):
        logits = self.logits(model, batch)
        if self.kind == "value":
            values = VALUES[[other is batch for other in BATCHES].index(True)]
            return torch.nn.functional.mse_loss(logits.squeeze(1), values, reduction=reduction)
        labels = batch[f"{self.kind}Labels"]
        weight = CLASS_WEIGHTS if self.kind == "sequence" else None
        return torch.nn.functional.cross_entropy(logits, labels[labels != IGNORED], weight=weight, reduction=reduction)


def make_task(kind, tensors):
    task = Task(kind)
    torch.manual_seed(510)
    options = dict(r=RANK, lora_alpha=ALPHA, target_modules=LINEAR_NAMES, task_type=task.peft_type, init_lora_weights="gaussian")
    model = get_peft_model(task.base, LoraConfig(**options)).eval()
    randomise_b(model, 511)
    save_adapter(model, HERE / NAME / f"{kind}-adapter")
    with torch.no_grad():
        tensors[f"{kind}.logits"] = task.logits(model, BATCHES[0])
        loss = task.loss(model, BATCHES[0], "sum").item()
    for key, value in gradients(task, model).items():
        tensors[f"{kind}.gradient/{key}"] = value
    facts = {"sum": loss, "trajectory": {"options": ADAMW["options"], **trajectory(task, model, ADAMW["make"])}}
    for key, value in adapter_state(model).items():
        tensors[f"{kind}.final/{key}"] = value
    return facts


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(HERE / NAME, ignore_errors=True)
    (HERE / NAME).mkdir()
    tensors = {}
    facts = {
        "batches": [{key: value.tolist() for key, value in batch.items()} for batch in BATCHES],
        "values": [values.tolist() for values in VALUES],
        "classWeights": CLASS_WEIGHTS.tolist(),
        **{kind: make_task(kind, tensors) for kind in ("sequence", "token", "value")},
    }
    write_golden(HERE / NAME, tensors, facts)
