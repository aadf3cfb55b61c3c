"""Checks the folders that gguf-folders.ts wrote: transformers must load each, and give the logits of tests/golden/gguf.

Versions: torch==2.13.0 transformers==5.17.0.

    python tests/golden/check_gguf_folders.py FOLDER

Prints what it found and ends with 1 where a model differs, or where a weight is missing or not expected.
"""

# Proves folder out: of a GGUF, transformers gives its own logits

import base64
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from transformers import AutoModelForCausalLM

GOLDEN = json.loads((Path(__file__).resolve().parent / "gguf" / "golden.json").read_text())
TOLERANCE = 1e-5  # of the largest logit


def main(folder):
    fine = True
    for name, facts in GOLDEN["models"].items():
        model, info = AutoModelForCausalLM.from_pretrained(Path(folder) / name, output_loading_info=True, attn_implementation="eager")
        with torch.no_grad():
            logits = model.eval()(torch.tensor([GOLDEN["ids"]])).logits[0].numpy()
        expected = np.frombuffer(base64.b64decode(facts["logits"]), np.float32).reshape(logits.shape)
        gap = float(np.abs(logits - expected).max() / np.abs(expected).max())
        unloaded = [*info["missing_keys"], *info["unexpected_keys"]]
        good = gap <= TOLERANCE and not unloaded
        fine = fine and good
        print("ok  " if good else "BAD ", f"{name}: logits differ by {gap:.1e} of the largest at most; not loaded: {unloaded}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
