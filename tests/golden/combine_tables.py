"""Makes tests/golden/combine-tables/: combining adapters of a table of embeddings and of a head (tests/lora/combine-tables.test.ts).

Versions: torch==2.13.0 peft==0.21.0. On the CPU, in fp32, with fixed seeds.

    python tests/golden/combine_tables.py

writes two adapters as PEFT saves them, of equal rank, and changes.safetensors: `CASE/LAYER`, the change W [V, C] of each layer by PEFT's
`add_weighted_adapter`, and `rank-1/LAYER`, the best approximation of the first adapter's by PyTorch's SVD.
"""

import json
import shutil

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import nn

from make import HERE

FOLDER = HERE / "combine-tables"
TARGETS = ["embed_tokens", "lm_head"]
ADAPTERS = {"first": dict(r=3, lora_alpha=6), "second": dict(r=3, lora_alpha=3, use_rslora=True)}
WEIGHTS = [0.7, -1.2]
CASES = {
    "cat": dict(combination_type="cat"),
    "svd": dict(combination_type="svd", svd_rank=2),
    "linear": dict(combination_type="linear"),
    "ties": dict(combination_type="ties", density=0.6),
    "magnitude_prune_svd": dict(combination_type="magnitude_prune_svd", density=0.6, svd_rank=2),
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(15, 6)
        self.lm_head = nn.Linear(6, 15, bias=False)


def main():
    torch.manual_seed(73)
    model = None
    for name, fields in ADAPTERS.items():
        config = LoraConfig(target_modules=TARGETS, **fields)
        model = get_peft_model(Model(), config, adapter_name=name) if model is None else model
        if name not in model.peft_config:
            model.add_adapter(name, config)
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "lora_" in key:
                value.copy_(torch.randn(value.shape))
    shutil.rmtree(FOLDER, ignore_errors=True)
    model.save_pretrained(FOLDER, save_embedding_layers=False)
    for card in FOLDER.rglob("README.md"):
        card.unlink()
    layers = {key.removeprefix("base_model.model."): layer for key, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    changes = {}
    for case, plan in CASES.items():
        model.add_weighted_adapter(list(ADAPTERS), WEIGHTS, case, **plan)
        changes |= {f"{case}/{name}": layer.get_delta_weight(case) for name, layer in layers.items()}
    for name, layer in layers.items():
        u, s, vh = torch.linalg.svd(layer.get_delta_weight("first"), full_matrices=False)
        changes[f"rank-1/{name}"] = s[0] * torch.outer(u[:, 0], vh[0])
    save_file({key: value.detach().contiguous() for key, value in changes.items()}, FOLDER / "changes.safetensors")
    (FOLDER / "cases.json").write_text(json.dumps({"weights": WEIGHTS, "cases": CASES}, indent=1) + "\n")


if __name__ == "__main__":
    main()
