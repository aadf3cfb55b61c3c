"""Makes what Gemma has beside the contract of all architectures: the text part of a model of texts and images, and old configurations.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0. On the CPU, in fp32, with fixed seeds, after architectures.py.

    python tests/golden/gemma3.py

writes tests/golden/gemma3/: a tiny Gemma 3 of texts and images whose text part has the weights of gemma3_text/, as transformers saves it
(under the names that the Hub has), an adapter of PEFT on its text part, and the logits of the first batch, base and adapted. In gemma2/
and gemma3_text/ it writes config.transformers4.json, the same configuration as transformers 4 wrote it.
"""

import json
import os
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from transformers import Gemma2Config, Gemma3Config, Gemma3ForConditionalGeneration, Gemma3TextConfig, SiglipVisionConfig

from architectures import ARCHITECTURES, BATCHES, load_model
from contract import ALPHA, RANK
from make import HERE, forward, randomise_b, save_adapter, write_golden

FOLDER = HERE / "gemma3"
NAME = "gemma3"


def text_and_images():
    """The model of gemma3_text/ beside a tiny tower for images."""
    text = load_model("gemma3_text", ARCHITECTURES["gemma3_text"])
    vision = SiglipVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4
    )
    config = Gemma3Config(text_config=text.config.to_dict(), vision_config=vision.to_dict(), mm_tokens_per_image=4, image_token_index=95)
    torch.manual_seed(430)
    model = Gemma3ForConditionalGeneration(config)
    model.model.language_model.load_state_dict(text.model.state_dict())
    shutil.rmtree(FOLDER, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(FOLDER)
    (FOLDER / "generation_config.json").unlink(missing_ok=True)
    model = Gemma3ForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager").eval()
    model.name_or_path = model.config._name_or_path = NAME
    with torch.no_grad():
        assert torch.equal(forward(model, BATCHES[0])["logits"], forward(text, BATCHES[0])["logits"])
    return model


def make_text_and_images():
    model = text_and_images()
    tensors = {}
    with torch.no_grad():
        tensors["base.logits"] = forward(model, BATCHES[0])["logits"]
        torch.manual_seed(431)
        targets = r"model\.language_model\..*\.(q_proj|v_proj|down_proj)"
        adapted = get_peft_model(
            model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, task_type="CAUSAL_LM", init_lora_weights="gaussian")
        ).eval()
        randomise_b(adapted, 432)
        save_adapter(adapted, FOLDER / "adapter")
        tensors["adapted.logits"] = forward(adapted, BATCHES[0])["logits"]
    write_golden(FOLDER, tensors, {"batches": [{key: value.tolist() for key, value in BATCHES[0].items()}]})


def as_transformers4(name, kind, change):
    """The configuration in the old spelling, which transformers 5 reads as the same."""
    new = json.loads((HERE / name / "config.json").read_text())
    old = change({key: value for key, value in new.items() if key not in ("layer_types", "rope_parameters")})
    old["torch_dtype"] = old.pop("dtype")
    old["transformers_version"] = "4.50.0"
    (HERE / name / "config.transformers4.json").write_text(json.dumps(old, indent=2, sort_keys=True) + "\n")
    read, want = kind.from_dict(old), kind.from_dict(new)
    assert (read.layer_types, read.rope_parameters) == (want.layer_types, want.rope_parameters), (read, want)


def old_gemma2(config):
    return {**config, "rope_theta": 10000.0}


def old_gemma3(config):
    return {
        **config,
        "rope_theta": 1000.0,
        "rope_local_base_freq": 100.0,
        "rope_scaling": {"factor": 4.0, "rope_type": "linear"},
        "sliding_window_pattern": 2,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_text_and_images()
    as_transformers4("gemma2", Gemma2Config, old_gemma2)
    as_transformers4("gemma3_text", Gemma3TextConfig, old_gemma3)
