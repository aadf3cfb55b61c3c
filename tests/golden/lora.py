"""Makes the goldens of src/lora: which layers PEFT targets, PEFT's merged weights, scales, and NumPy's singular values.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0 numpy==2. Run after make.py, whose models it loads.

    python tests/golden/lora.py

writes tests/golden/lora/:
- targets.json: for each case (`target_modules`, `exclude_modules`, `layers_to_transform`) the layers that PEFT adapts
- default-targets.json: for each kind of model what PEFT takes where no target_modules are given; null where it asks for them
- patterns/: an adapter of tiny-llama with rank_pattern, alpha_pattern and rsLoRA, stored in BF16, saved by PEFT
- decomposition.json: per layer of tiny-llama/adapter and patterns the scale, and NumPy's norm and singular values of s·BA
- merged.safetensors, patterns-merged.safetensors: the weights of the adapted layers after merge_and_unload
"""

import copy
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from safetensors.torch import load_file, save_file

from make import HERE, load_model, lora, randomise_b, save_adapter

FOLDER = HERE / "lora"
CASES = [
    {"target_modules": "all-linear"},
    {"target_modules": ["q_proj", "v_proj"]},
    {"target_modules": ["self_attn.o_proj", "model.layers.1.mlp.up_proj"]},
    {"target_modules": ["proj"]},
    {"target_modules": r".*\.(q|k)_proj"},
    {"target_modules": r"model\.layers\.0\..*_proj"},
    {"target_modules": r"q_proj"},
    {"target_modules": r"(?P<any>.*)\.0\.mlp\.(gate|down)_proj"},
    {"target_modules": "all-linear", "exclude_modules": ["v_proj", "layers.0.mlp.up_proj"]},
    {"target_modules": ["q_proj", "down_proj"], "exclude_modules": r".*\.1\..*"},
    {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1]},
    {"target_modules": ["self_attn.v_proj"], "layers_to_transform": 0, "layers_pattern": "layers"},
]


def adapted_layers(model):
    prefix = "base_model.model."
    return {name.removeprefix(prefix): layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


def targets(base):
    made = []
    for case in CASES:
        try:
            model = get_peft_model(copy.deepcopy(base), LoraConfig(r=2, task_type="CAUSAL_LM", **case))
            made.append({**case, "layers": sorted(adapted_layers(model))})
        except ValueError:
            made.append({**case, "layers": []})
    return made


def decomposition(model):
    """Scale, Frobenius norm and singular values of ΔW, by forming it in float64."""
    facts = {}
    for name, layer in adapted_layers(model).items():
        a = layer.lora_A["default"].weight.detach().double().numpy()
        b = layer.lora_B["default"].weight.detach().double().numpy()
        scale = layer.scaling["default"]
        delta = scale * b @ a
        values = np.linalg.svd(delta, compute_uv=False)[: a.shape[0]]
        facts[name] = {"scale": scale, "rank": a.shape[0], "norm": float(np.linalg.norm(delta)), "singularValues": values.tolist()}
    return facts


def merged(model):
    names = list(adapted_layers(model))
    state = copy.deepcopy(model).merge_and_unload().state_dict()
    return {f"{name}.weight": state[f"{name}.weight"].contiguous() for name in names}


def make_patterns(base):
    torch.manual_seed(41)
    model = lora(
        copy.deepcopy(base),
        target_modules=r".*\.(q|v|o|gate|down)_proj",
        rank_pattern={"gate_proj": 2, r"layers\.1\.self_attn\.q_proj": 6},
        alpha_pattern={"layers.1.self_attn.q_proj": 16, "o_proj": 3},
        use_rslora=True,
    )
    randomise_b(model, 42)
    save_adapter(model, FOLDER / "patterns")
    path = FOLDER / "patterns" / "adapter_model.safetensors"
    save_file({k: v.to(torch.bfloat16) for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
    return PeftModel.from_pretrained(copy.deepcopy(base), FOLDER / "patterns")


MODEL_TYPES = "bert camembert gemma2 gemma3_text gpt2 llama mistral modernbert phi3 qwen2 qwen3 roberta smollm3 xlm-roberta".split()


def default_targets():
    return {name: TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(name) for name in MODEL_TYPES}


def write(name, value):
    (FOLDER / name).write_text(json.dumps(value, indent=1) + "\n")


def main():
    FOLDER.mkdir(exist_ok=True)
    base = load_model("tiny-llama")
    write("targets.json", targets(base))
    write("default-targets.json", default_targets())
    plain = PeftModel.from_pretrained(copy.deepcopy(base), HERE / "tiny-llama" / "adapter")
    patterns = make_patterns(base)
    write("decomposition.json", {"adapter": decomposition(plain), "patterns": decomposition(patterns)})
    save_file(merged(plain), FOLDER / "merged.safetensors", metadata={"format": "pt"})
    save_file(merged(patterns), FOLDER / "patterns-merged.safetensors", metadata={"format": "pt"})
    for path in FOLDER.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    main()
