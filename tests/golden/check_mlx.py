"""Whether mlx-lm gives the logits of an adapter that `lorikeet export --to mlx` wrote.

Versions: mlx[cpu]==0.32.4 mlx-lm==0.32.2.

    python tests/golden/check_mlx.py MODEL_FOLDER ADAPTER_FOLDER REFERENCE

REFERENCE is the logits.json of adapter-logits.ts. The adapter must change the logits by 100 times as much as the comparison allows.
"""

# Proves mlx-adapter out: mlx-lm gives the logits

import json
import sys

import mlx.core as mx
from mlx_lm import load

TOLERANCE = 1e-4

model_folder, adapter_folder, path = sys.argv[1:]
with open(path) as file:
    reference = json.load(file)
expected = mx.array(reference["logits"])


def logits(**adapter):
    model, _ = load(model_folder, **adapter)
    return model(mx.array([reference["ids"]]))[0].astype(mx.float32)


def largest(values):
    return mx.abs(values).max().item()


adapted, base = logits(adapter_path=adapter_folder), logits()
error = largest(adapted - expected) / largest(expected)
change = largest(base - expected) / largest(expected)
print(f"mlx-lm: error {error:.1e}, change by the adapter {change:.1e}")
assert error <= TOLERANCE and change >= 100 * TOLERANCE
