"""Loads an adapter with a head that Lorikeet trained into PEFT, and compares the probabilities with those of `lorikeet classify --json`.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0.

    python tests/golden/check_head.py MODEL_FOLDER ADAPTER_FOLDER CLASSIFIED.json

CLASSIFIED.json is the output of `lorikeet classify --json` for a classification of single texts. Fails on a missing or unexpected key, and
where a probability differs by more than 1e-4 or the adapter and its head change none by 100 times as much.
"""

# Proves peft-adapter out: PEFT gives the probabilities of a trained head

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

TOLERANCE = 1e-4


def base_model(folder, labels):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", id2label=dict(enumerate(labels))
    )
    return model.eval()


def check_keys(folder, adapter, labels):
    model = get_peft_model(base_model(folder, labels), LoraConfig.from_pretrained(adapter))
    result = set_peft_model_state_dict(model, load_file(Path(adapter) / "adapter_model.safetensors"))
    missing = [key for key in result.missing_keys if "lora_" in key or "modules_to_save" in key]
    assert not missing and not result.unexpected_keys, f"missing {missing}, unexpected {result.unexpected_keys}"


def check_probabilities(folder, adapter, classified):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = base_model(folder, classified["labels"])
    model = PeftModel.from_pretrained(base_model(folder, classified["labels"]), adapter).eval()
    gap, effect = 0.0, 0.0
    for row in classified["rows"]:
        batch = tokenizer(row["text"], return_tensors="pt")
        with torch.no_grad():
            found = model(**batch).logits.softmax(-1)[0]
            effect = max(effect, (found - base(**batch).logits.softmax(-1)[0]).abs().max().item())
        gap = max(gap, (found - torch.tensor(row["probabilities"])).abs().max().item())
    assert gap <= TOLERANCE, f"probabilities differ by {gap}"
    assert effect >= 100 * TOLERANCE, f"adapter and head change the probabilities by {effect} only"
    print(f"probabilities of {len(classified['rows'])} texts equal within {gap:.1e}; adapter and head change them by up to {effect:.2f}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    told = json.loads(Path(sys.argv[3]).read_text())
    check_keys(sys.argv[1], sys.argv[2], told["labels"])
    check_probabilities(sys.argv[1], sys.argv[2], told)
    print("ok")
