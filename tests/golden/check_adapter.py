"""Loads an adapter that Lorikeet wrote into PEFT, and compares the logits with a reference.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0.

    python tests/golden/check_adapter.py MODEL_FOLDER ADAPTER_FOLDER [REFERENCE]

Fails on a missing or unexpected key, on a field of the configuration that PEFT does not know, and where no adapter takes effect.
With REFERENCE the adapted logits must also equal it to 1e-4, and the adapter must change them by 100 times as much. It is either
a golden folder (tests/golden/tiny-llama, tiny-llama3 or an architecture's; batch 0) or the logits.json that adapter-logits.ts wrote: Lorikeet's own.
"""

# Proves peft-adapter out: PEFT loads every key and gives the logits, for every decoder

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-4


def base_model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def check_keys(model_folder, adapter_folder):
    """Every tensor of the file has its place, and every place its tensor."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PEFT only warns of unknown fields
        config = LoraConfig.from_pretrained(adapter_folder)
    model = get_peft_model(base_model(model_folder), config)
    result = set_peft_model_state_dict(model, load_file(Path(adapter_folder) / "adapter_model.safetensors"))
    missing = [key for key in result.missing_keys if "lora_" in key]
    assert not missing and not result.unexpected_keys, f"missing {missing}, unexpected {result.unexpected_keys}"


def read_reference(path):
    """A batch, and the logits [B, T, V] that it must give."""
    if path.is_dir():
        batch = json.loads((path / "golden.json").read_text())["batches"][0]
        batch = {key: torch.tensor(batch[key]) for key in ("input_ids", "attention_mask")}
        return batch, load_file(path / "golden.safetensors")["adapted.logits"]
    written = json.loads(path.read_text())
    ids = torch.tensor([written["ids"]])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.tensor([written["logits"]])


def check_logits(model_folder, adapter_folder, reference):
    model = PeftModel.from_pretrained(base_model(model_folder), adapter_folder).eval()
    batch, expected = {"input_ids": torch.tensor([[1, 17, 42, 8, 63]])}, None
    if reference:
        batch, expected = read_reference(Path(reference))
    with torch.no_grad():
        logits = model(**batch).logits
        with model.disable_adapter():
            effect = (logits - model(**batch).logits).abs().max().item()
    assert effect > 0, "the adapter changes nothing"
    if expected is None:
        return
    assert logits.shape == expected.shape, f"logits of {list(logits.shape)}, the reference has {list(expected.shape)}"
    gap = ((logits - expected) * batch["attention_mask"].unsqueeze(-1)).abs().max().item()
    assert gap <= TOLERANCE, f"logits differ by {gap}"
    assert effect >= 100 * TOLERANCE, f"the adapter changes the logits by {effect} only: too little to see a difference"
    print(f"logits equal the reference's within {gap:.1e}; the adapter changes them by up to {effect:.1e}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    check_keys(*sys.argv[1:3])
    check_logits(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else None)
    print("ok")
