"""Makes the goldens of adapters of the vocabulary's matrices on several architectures (tests/lora/vocabulary.test.ts).

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0. On the CPU, in fp32, with fixed seeds. Run after architectures.py, whose models
it loads: Gemma 2 multiplies its embeddings and caps its logits, GPT-2 has other names, Mistral's head is a matrix of its own.

    python tests/golden/vocabulary.py

writes for each case tests/golden/vocabulary/NAME/: adapter/, as PEFT saves it, golden.safetensors with the `logits` of the first batch and the
`gradient/` of its summed loss, golden.json with that loss.
"""

import os
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model

from architectures import ARCHITECTURES, BATCHES, load_model
from make import HERE, forward, save_adapter, write_golden
from variants import disturb, gradients

CASES = {
    "gemma2-matrices": ("gemma2", dict(target_modules=["embed_tokens", "lm_head"], rank_pattern={"lm_head": 3})),
    "gemma2-tokens": ("gemma2", dict(target_modules=["q_proj"], trainable_token_indices=[3, 17])),
    "gpt2-matrices": ("gpt2", dict(target_modules=["wte", "lm_head"])),
    "mistral-tokens": ("mistral", dict(target_modules=["lm_head"], trainable_token_indices={"embed_tokens": [3, 17]})),
}


def make(name, base, fields):
    folder = HERE / "vocabulary" / name
    torch.manual_seed(500)
    model = get_peft_model(load_model(base, ARCHITECTURES[base]), LoraConfig(r=2, lora_alpha=6, task_type="CAUSAL_LM", **fields)).eval()
    disturb(model, 501)
    out = forward(model, BATCHES[0])
    tensors = {"logits": out["logits"].detach()}
    tensors |= {f"gradient/{key}": value for key, value in gradients(model, BATCHES[0]).items()}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_adapter(model, folder / "adapter")
    write_golden(folder, tensors, {key: float(out[key]) for key in ("sum", "count")})
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, (base, fields) in CASES.items():
        make(name, base, fields)
