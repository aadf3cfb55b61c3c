"""Loads an adapter that Lorikeet wrote into PEFT, and compares it with the golden of the model it belongs to.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0.

    python tests/golden/check_adapter.py MODEL_FOLDER ADAPTER_FOLDER [GOLDEN_FOLDER]

Fails on a missing or unexpected key, on a field of the configuration that PEFT does not know, and where no adapter takes effect.
With GOLDEN_FOLDER (tests/golden/tiny-llama or tiny-llama3) the adapted logits of batch 0 must also equal the golden's to 1e-4.
"""

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


def check_logits(model_folder, adapter_folder, golden_folder):
    model = PeftModel.from_pretrained(base_model(model_folder), adapter_folder).eval()
    batch = {"input_ids": torch.tensor([[1, 17, 42, 8, 63]])}
    if golden_folder:
        batch = json.loads((Path(golden_folder) / "golden.json").read_text())["batches"][0]
        batch = {key: torch.tensor(batch[key]) for key in ("input_ids", "attention_mask")}
    with torch.no_grad():
        logits = model(**batch).logits
        with model.disable_adapter():
            effect = (logits - model(**batch).logits).abs().max().item()
    assert effect > 0, "the adapter changes nothing"
    if golden_folder:
        expected = load_file(Path(golden_folder) / "golden.safetensors")["adapted.logits"]
        gap = ((logits - expected) * batch["attention_mask"].unsqueeze(-1)).abs().max().item()
        assert gap <= 1e-4, f"logits differ by {gap}"
        print(f"logits equal the golden's within {gap:.1e}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    check_keys(*sys.argv[1:3])
    check_logits(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else None)
    print("ok")
