"""Loads an adapter that Lorikeet trained with pairs into sentence-transformers by PEFT, and compares the vectors with those of
`lorikeet embed --json`.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0 sentence-transformers==6.2.0.

    python tests/golden/check_embedding.py MODEL_FOLDER ADAPTER_FOLDER EMBEDDED.json TEXTS.jsonl

EMBEDDED.json is the output of `lorikeet embed --json` with that adapter for the file TEXTS.jsonl, rows {"text"}. Fails on a missing or
unexpected key, and where the cosine of a vector with theirs is below 0.99999 or the adapter turns none by more than 0.01.
"""

# Proves sentence-model out: sentence-transformers gives the vectors

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer


def check_keys(folder, adapter):
    model = get_peft_model(SentenceTransformer(folder, device="cpu")[0].model, LoraConfig.from_pretrained(adapter))
    result = set_peft_model_state_dict(model, load_file(Path(adapter) / "adapter_model.safetensors"))
    missing = [key for key in result.missing_keys if "lora_" in key]
    assert not missing and not result.unexpected_keys, f"missing {missing}, unexpected {result.unexpected_keys}"


def check_vectors(folder, adapter, vectors, texts):
    model = SentenceTransformer(folder, device="cpu")
    base = model.encode(texts, convert_to_tensor=True)
    model.load_adapter(adapter)
    theirs = model.encode(texts, convert_to_tensor=True)
    least = torch.cosine_similarity(theirs, torch.tensor(vectors)).min().item()
    turned = 1 - torch.cosine_similarity(theirs, base).min().item()
    assert least >= 0.99999, f"a cosine is {least}"
    assert turned >= 0.01, f"the adapter turns vectors by {turned} only"
    print(f"{len(texts)} vectors: cosine {least:.7f} at least; the adapter turns them by up to {turned:.2f}")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    folder, adapter, embedded, file = sys.argv[1:]
    texts = [json.loads(line)["text"] for line in Path(file).read_text().splitlines()]
    check_keys(folder, adapter)
    check_vectors(folder, adapter, json.loads(Path(embedded).read_text())["vectors"], texts)
    print("ok")
