"""Checks the adapters that gguf-adapters.ts wrote: the gguf package reads each, and what llama.cpp makes of it is what PEFT makes of its folder.

Versions: gguf==0.19.0 safetensors==0.8.0 numpy==2.4.6.

    python tests/golden/check_gguf_adapter.py FOLDER

FOLDER/NAME.gguf belongs to tests/golden/NAME. Compares alpha / rank * B @ A of every layer, under the name that the gguf package has for
it and with the rows in the converter's order. Prints what it found and ends with 1 where an adapter differs.
"""

# Proves gguf-adapter out: the gguf package finds PEFT's changes in it

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parent
ARCHITECTURES = {"mistral": "llama", "gemma3_text": "gemma3"}
TOLERANCE = 1e-6  # of the largest value


def permute(rows, heads):
    """LlamaModel.permute of convert_hf_to_gguf.py."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def text(reader, key):
    return reader.fields[key].contents()


def check(path):
    name = path.stem
    config = json.loads((HERE / name / "config.json").read_text())
    peft = json.loads((HERE / name / "adapter" / "adapter_config.json").read_text())
    matrices = load_file(HERE / name / "adapter" / "adapter_model.safetensors")
    text_config = config.get("text_config", config)
    architecture = ARCHITECTURES.get(config["model_type"], config["model_type"])
    number = {text: arch for arch, text in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    blocks = text_config.get("num_hidden_layers", text_config.get("n_layer"))
    names = gguf.get_tensor_name_map(number, blocks)
    reader = gguf.GGUFReader(path)
    problems = []
    wanted = {"general.architecture": architecture, "general.type": "adapter", "adapter.type": "lora"}
    problems += [f"{key} is {text(reader, key)}" for key, value in wanted.items() if text(reader, key) != value]
    alpha = float(text(reader, "adapter.lora.alpha"))
    stored = {tensor.name: tensor.data for tensor in reader.tensors}
    gap = 0.0
    for key in [key for key in matrices if key.endswith(".lora_A.weight")]:
        layer = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        a, b = matrices[key], matrices[key.replace(".lora_A.", ".lora_B.")]
        if architecture in ("llama", "smollm3") and layer.endswith(("q_proj", "k_proj")):
            heads = "num_attention_heads" if layer.endswith("q_proj") else "num_key_value_heads"
            b = permute(b, text_config[heads])
        weight = names.get_name(layer.replace("model.language_model.", "model."), try_suffixes=(".weight",)) + ".weight"
        their_a, their_b = stored.pop(f"{weight}.lora_a"), stored.pop(f"{weight}.lora_b")
        expected = peft["lora_alpha"] / peft["r"] * (b @ a)
        found = alpha / their_b.shape[1] * (their_b @ their_a)
        gap = max(gap, float(np.abs(found - expected).max() / np.abs(expected).max()))
    problems += [f"{name} belongs to no layer" for name in stored]
    if gap > TOLERANCE:
        problems.append("its layers differ")
    print("BAD " if problems else "ok  ", f"{name}: layers differ by {gap:.1e} of the largest value at most", *problems)
    return not problems


if __name__ == "__main__":
    paths = sorted(Path(sys.argv[1]).glob("*.gguf"))
    sys.exit(0 if paths and all([check(path) for path in paths]) else 1)
