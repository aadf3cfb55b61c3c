"""Makes tests/golden/lora/merge-outputs.json: how far a merged file's predictions are from those of base and adapter.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0 gguf==0.19.0. On the CPU, in fp32. Run after tiny_chat.py.

    python tests/golden/merge_outputs.py

Base and adapter are tiny-chat's, in PEFT. The merged weights are rounded to BF16 by PyTorch, and to Q8_0 by the gguf package (matrices; vectors
stay); of the logits of each text SciPy's `rel_entr` makes the Kullback-Leibler divergence, in fp64. The texts are those of the general probe, cut to 128
tokens, as many as predict 512 tokens.
"""

import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from peft import PeftModel
from scipy.special import log_softmax, rel_entr
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
BASE = HERE / "tiny-chat"
TOKENS, OF_TEXT = 512, 128


def base():
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()


def texts():
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    for line in (HERE / "../../assets/probe/general.jsonl").read_text().splitlines():
        yield tokenizer(json.loads(line)["text"], add_special_tokens=False, split_special_tokens=True)["input_ids"][:OF_TEXT]


def chosen():
    rows, count = [], 0
    for ids in texts():
        if count >= TOKENS:
            return rows, count
        rows.append(ids)
        count += len(ids) - 1


@torch.no_grad()
def log_probabilities(model, rows):
    return [log_softmax(model(torch.tensor([ids])).logits[0, :-1].double().numpy(), axis=-1) for ids in rows]


def divergence(reference, other):
    nats = np.concatenate([rel_entr(np.exp(p), np.exp(q)).sum(-1) for p, q in zip(reference, other)])
    same = np.concatenate([p.argmax(-1) == q.argmax(-1) for p, q in zip(reference, other)])
    return {"mean": nats.mean(), "largest": nats.max(), "sameToken": same.mean()}


def rounded(model, change):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(change(parameter))
    return model


def q8_0(parameter):
    if parameter.ndim < 2:
        return parameter
    return torch.tensor(dequantize(quantize(parameter.numpy(), GGMLQuantizationType.Q8_0), GGMLQuantizationType.Q8_0))


def main():
    rows, tokens = chosen()
    merged = lambda: PeftModel.from_pretrained(base(), BASE / "adapter").merge_and_unload()
    reference = log_probabilities(PeftModel.from_pretrained(base(), BASE / "adapter"), rows)
    found = {
        "tokens": tokens,
        "base": divergence(reference, log_probabilities(base(), rows)),
        "bf16": divergence(reference, log_probabilities(rounded(merged(), lambda p: p.bfloat16().float()), rows)),
        "q8_0": divergence(reference, log_probabilities(rounded(merged(), q8_0), rows)),
    }
    (HERE / "lora" / "merge-outputs.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
