"""Adapters as mlx-lm saves them, with the logits that it computes: golden/mlx/.

Versions: mlx[cpu]==0.32.4 mlx-lm==0.32.2.

    python tests/golden/mlx_adapters.py
"""

import json
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import save_config

HERE = Path(__file__).parent
MODEL = HERE / "tiny-chat"
IDS = [1, 85, 517, 335, 201, 35, 339, 514, 280, 384]
PARAMETERS = {"rank": 3, "scale": 1.5, "dropout": 0.0, "keys": ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"]}


def make(kind):
    model, _ = load(str(MODEL))
    model.freeze()
    linear_to_lora_layers(model, 1, PARAMETERS, use_dora=kind == "dora")
    mx.random.seed(3)
    values = [(name, 0.2 * mx.random.normal(value.shape) + (value if name.endswith(".m") else 0)) for name, value in tree_flatten(model.trainable_parameters())]
    model.load_weights(values, strict=False)
    folder = HERE / "mlx" / kind
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
    options = {"fine_tune_type": kind, "model": "tiny-chat", "num_layers": 1, "lora_parameters": PARAMETERS, "learning_rate": 1e-5, "iters": 10}
    save_config(options, folder / "adapter_config.json")
    return logits_of(model)


def logits_of(model):
    """[V] behind the last token."""
    return model(mx.array([IDS]))[0, -1].astype(mx.float32).tolist()


def main():
    base, _ = load(str(MODEL))
    golden = {"ids": IDS, "base": logits_of(base), **{kind: make(kind) for kind in ("lora", "dora")}}
    (HERE / "mlx" / "logits.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
