"""Makes the goldens of combining and resizing adapters (tests/lora/combine.test.ts, tests/lora/truncation.test.ts).

Versions: torch==2.13.0 peft==0.21.0. On the CPU, in fp32, with fixed seeds.

    python tests/golden/combine.py

writes tests/golden/combine/:
- NAME/: four adapters of one small stack of linear layers, as PEFT saves them; they differ in rank, scale and layers
- combined.safetensors: `CASE/LAYER.lora_A` and `.lora_B` as `add_weighted_adapter` makes them, and `CASE/mask/LAYER/TENSOR/INDEX`, the
  masks that DARE drew, ones and zeros, for the adapter of that index
- cases.json: what each case combines, and how
- resized.safetensors, resized.json: PEFT's `convert_to_lora` of `wide` to a rank and to shares of its energy
- spectrum.json: the largest singular values of a matrix that both sides compute from a formula, and PEFT's cutoffs for shares of its energy
"""

import json
import shutil

import torch
from peft import LoraConfig, convert_to_lora, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.conversion import _find_cutoff_index
from safetensors.torch import save_file
from torch import nn

from make import HERE

FOLDER = HERE / "combine"
SIDES = {"q_proj": (12, 10), "k_proj": (12, 6), "down_proj": (10, 12)}

ADAPTERS = {
    "first": dict(r=3, lora_alpha=6, target_modules=["q_proj", "k_proj", "down_proj"]),
    "second": dict(r=3, lora_alpha=3, use_rslora=True, target_modules=["q_proj", "down_proj"]),
    "third": dict(r=3, lora_alpha=5, target_modules=["q_proj", "k_proj"]),
    "wide": dict(r=4, lora_alpha=6, rank_pattern={"q_proj": 2}, alpha_pattern={"down_proj": 2}, target_modules=["q_proj", "k_proj", "down_proj"]),
}

THREE = dict(adapters=["first", "second", "third"], weights=[0.7, -0.4, 1.5])
MIXED = dict(adapters=["first", "wide"], weights=[1.0, -0.5])
CASES = {
    "svd": dict(**THREE, combination_type="svd"),
    "svd-2": dict(**THREE, combination_type="svd", svd_rank=2),
    "svd-mixed": dict(**MIXED, combination_type="svd"),
    "linear": dict(**THREE, combination_type="linear"),
    "one": dict(adapters=["first"], weights=[-0.5], combination_type="linear"),
    "cat": dict(**THREE, combination_type="cat"),
    "cat-mixed": dict(**MIXED, combination_type="cat"),
    **{
        name: dict(**THREE, combination_type=name, density=0.6)
        for name in ("ties", "ties_svd", "dare_ties", "dare_linear", "dare_ties_svd", "dare_linear_svd", "magnitude_prune", "magnitude_prune_svd")
    },
    "ties-frequency": dict(**THREE, combination_type="ties", density=0.3, majority_sign_method="frequency"),
    "ties_svd-frequency": dict(**THREE, combination_type="ties_svd", density=0.3, majority_sign_method="frequency", svd_rank=4),
    "dare_ties_svd-mixed": dict(**MIXED, combination_type="dare_ties_svd", density=0.5, svd_rank=3),
}


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.ModuleDict({name: nn.Linear(*sides, bias=False) for name, sides in SIDES.items()})])


def make_model():
    torch.manual_seed(71)
    model = None
    for name, fields in ADAPTERS.items():
        if model is None:
            model = get_peft_model(Stack(), LoraConfig(**fields), adapter_name=name)
        else:
            model.add_adapter(name, LoraConfig(**fields))
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "lora_" in key:
                value.copy_(torch.randn(value.shape))
    return model


class RecordedMasks:
    """Notes what torch.bernoulli draws."""

    def __enter__(self):
        self.drawn, self.original = [], torch.bernoulli

        def draw(values):
            mask = self.original(values)
            self.drawn.append(mask)
            return mask

        torch.bernoulli = draw
        return self

    def __exit__(self, *_):
        torch.bernoulli = self.original


def masks_by_name(drawn, model, plan):
    """The masks in the order in which PEFT draws them: layer after layer, A before B, adapter after adapter."""
    rest = list(drawn)
    found = {}
    if not rest:
        return found
    tensors = ["change"] if plan["combination_type"].endswith("_svd") else ["A", "B"]
    for layer, module in lora_layers(model):
        for tensor in tensors:
            for index, adapter in enumerate(plan["adapters"]):
                if adapter in module.lora_A:
                    found[f"mask/{layer}/{tensor}/{index}"] = rest.pop(0).to(torch.float16)
    assert not rest
    return found


def lora_layers(model):
    return [(key.removeprefix("base_model.model."), module) for key, module in model.named_modules() if isinstance(module, LoraLayer)]


def combine(model, name, plan):
    torch.manual_seed(72)
    with RecordedMasks() as masks:
        model.add_weighted_adapter(adapter_name=name, **plan)
    tensors = masks_by_name(masks.drawn, model, plan)
    for layer, module in lora_layers(model):
        if name in module.lora_A:
            assert module.scaling[name] == 1
            tensors[f"{layer}.lora_A"] = module.lora_A[name].weight.data
            tensors[f"{layer}.lora_B"] = module.lora_B[name].weight.data
    return {f"{name}/{key}": value.contiguous() for key, value in tensors.items()}


def resize(model):
    model.set_adapter("wide")
    tensors, facts = {}, {}
    for name, rank in (("rank-1", 1), ("energy-0.5", 0.5), ("energy-0.9", 0.9)):
        config, state = convert_to_lora(model, rank, adapter_name="wide")
        ranks = {}
        for key, value in state.items():
            plain = key.removeprefix("base_model.model.").removesuffix(".weight")
            tensors[f"{name}/{plain}"] = value
            if plain.endswith("lora_A"):
                ranks[plain.removesuffix(".lora_A")] = value.shape[0]
        facts[name] = ranks
    return tensors, facts


def spectrum():
    """A matrix of 150 × 140 with a falling spectrum; its values are the formula's on both sides."""
    i, j = torch.meshgrid(torch.arange(150, dtype=torch.float64), torch.arange(140, dtype=torch.float64), indexing="ij")
    matrix = 1 / (1 + ((i - 1.05 * j) / 4) ** 2)
    values = torch.linalg.svdvals(matrix)
    shares = [0.3, 0.5, 0.8]
    return {
        "singularValues": values[:12].tolist(),
        "norm": float(torch.linalg.norm(matrix)),
        "cutoffs": {str(share): _find_cutoff_index(values, share) for share in shares},
    }


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    peft_model = make_model()
    peft_model.save_pretrained(FOLDER)
    for card in FOLDER.rglob("README.md"):
        card.unlink()
    combined = {}
    for case, plan in CASES.items():
        combined.update(combine(peft_model, case, plan))
    save_file(combined, FOLDER / "combined.safetensors")
    (FOLDER / "cases.json").write_text(json.dumps(CASES, indent=1) + "\n")
    resized, ranks = resize(peft_model)
    save_file(resized, FOLDER / "resized.safetensors")
    (FOLDER / "resized.json").write_text(json.dumps(ranks, indent=1) + "\n")
    (FOLDER / "spectrum.json").write_text(json.dumps(spectrum(), indent=1) + "\n")
