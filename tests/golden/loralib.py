"""Checkpoints of Microsoft's loralib, the code of the paper, and the logits of the models that it was put into.

Versions: torch==2.13.0 transformers==5.17.0 loralib==0.1.2.

    python tests/golden/loralib.py          (after architectures.py and make.py)

Layers of tests/golden/gpt2 and tests/golden/tiny-llama are replaced by loralib's, A, B and biases drawn at random. Writes loralib/NAME.pt as
`torch.save(lora.lora_state_dict(model, bias=…))` and loralib/logits.json: for each file the model, alpha, enable_lora where it is needed, ids
and logits (float32, base64).

gpt2-merged: MergedLinear(enable_lora=[True, False, True]) at c_attn, Linear of another rank at c_proj, the model below a name of its own, wrapped
as the paper's examples save it. gpt2-biases: all parts of c_attn, bias="all". gpt2-table: Embedding at wte, bias="lora_only" of c_fc. llama: Linear
at q_proj and down_proj. convolution: lora.Conv2d, which no model here has.
"""

import base64
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import loralib as lora
import torch
from torch import nn
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
OUT = HERE / "loralib"
IDS = [3, 17, 42, 8, 29, 5, 61, 12]


def load(name):
    return AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float32, attn_implementation="eager").eval()


def put(model, path, make):
    """Replaces a module by one of loralib, with its weight and bias."""
    parent, _, name = path.rpartition(".")
    parent = model.get_submodule(parent)
    old = getattr(parent, name)
    new = make(old)
    new.weight.data = old.weight.data.clone()
    if getattr(old, "bias", None) is not None:
        new.bias.data = old.bias.data.clone()
    setattr(parent, name, new)


def linear(kind=lora.Linear, **options):
    """Like a Linear of [out, in] or a Conv1D of [in, out]."""

    def make(old):
        is_conv1d = not isinstance(old, nn.Linear)
        inputs, outputs = old.weight.shape if is_conv1d else reversed(old.weight.shape)
        has_bias = old.bias is not None
        return kind(inputs, outputs, fan_in_fan_out=is_conv1d, merge_weights=False, bias=has_bias, **options)

    return make


def table(**options):
    return lambda old: lora.Embedding(old.num_embeddings, old.embedding_dim, merge_weights=False, **options)


def shake(model, biases):
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.3)
        elif biases(name):
            parameter.data += 0.3 * torch.randn_like(parameter)


def record(facts, file, name, model, reach, saved, alpha, **more):
    with torch.no_grad():
        plain = load(name)(torch.tensor([IDS])).logits[0]
        logits = reach(torch.tensor([IDS])).logits[0]
    assert (logits - plain).abs().max() > 0.3, file
    torch.save(saved, OUT / file)
    facts[file] = {"model": name, "alpha": alpha, "ids": IDS, "logits": base64.b64encode(logits.numpy().astype("<f4").tobytes()).decode(), **more}


class Mine(nn.Module):
    """Somebody's own model: GPT-2's body below a name of theirs."""

    def __init__(self, inner):
        super().__init__()
        self.gpt = inner.transformer


def main():
    OUT.mkdir(exist_ok=True)
    torch.manual_seed(6)
    facts = {}

    model = load("gpt2")
    for block in range(model.config.n_layer):
        put(model, f"transformer.h.{block}.attn.c_attn", linear(lora.MergedLinear, r=2, lora_alpha=6, enable_lora=[True, False, True]))
        put(model, f"transformer.h.{block}.attn.c_proj", linear(r=3, lora_alpha=6))
    shake(model, lambda name: False)
    saved = {"model_state_dict": lora.lora_state_dict(Mine(model))}
    record(facts, "gpt2-merged.pt", "gpt2", model, model, saved, 6, enableLora="true,false,true")

    model = load("gpt2")
    for block in range(model.config.n_layer):
        put(model, f"transformer.h.{block}.attn.c_attn", linear(lora.MergedLinear, r=2, lora_alpha=4, enable_lora=[True, True, True]))
    shake(model, lambda name: name.endswith("bias"))
    record(facts, "gpt2-biases.pt", "gpt2", model, model, lora.lora_state_dict(model, bias="all"), 4)

    model = load("gpt2")
    put(model, "transformer.wte", table(r=2, lora_alpha=3))
    if model.config.tie_word_embeddings:
        model.lm_head.weight = nn.Parameter(model.transformer.wte.weight.data.clone())
    for block in range(model.config.n_layer):
        put(model, f"transformer.h.{block}.mlp.c_fc", linear(r=2, lora_alpha=3))
    shake(model, lambda name: name.endswith("c_fc.bias"))
    record(facts, "gpt2-table.pt", "gpt2", model, model, lora.lora_state_dict(model, bias="lora_only"), 3)

    model = load("tiny-llama")
    for block in range(model.config.num_hidden_layers):
        put(model, f"model.layers.{block}.self_attn.q_proj", linear(r=4, lora_alpha=8))
        put(model, f"model.layers.{block}.mlp.down_proj", linear(r=4, lora_alpha=8))
    shake(model, lambda name: False)
    record(facts, "llama.pt", "tiny-llama", model, model, lora.lora_state_dict(model), 8)

    vision = nn.Sequential(lora.Conv2d(2, 4, 3, r=2, lora_alpha=2))
    torch.save(lora.lora_state_dict(vision), OUT / "convolution.pt")
    (OUT / "logits.json").write_text(json.dumps(facts, indent=1) + "\n")


main()
