"""Makes the golden of LoftQ's start (tests/lora/loftq.test.ts): what PEFT's own alternation makes of some weights with our quantiser.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0 numpy. On the CPU, in fp64 but for what is stored. Run after architectures.py,
whose model in tests/golden/qwen2 it loads.

    python tests/golden/loftq.py

PEFT's `loftq_init` knows bitsandbytes' NF4 alone, on a GPU. Here its source runs on the CPU, in fp64, with a stand-in for bitsandbytes
that rounds to blocks of 32 as --precision 4bit does, written again in numpy. tests/golden/loftq/golden.safetensors has, for some layers
and for one and five rounds, `base` (Q_T), `a` and `b`.
"""

import inspect
import os
import sys
import types

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from peft.utils import loftq_utils
from safetensors.torch import save_file

from architectures import ARCHITECTURES, load_model
from make import HERE

RANK = 2
BLOCK, LARGEST, REFITS = 32, 15, 2
LAYERS = ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.k_proj", "model.layers.1.mlp.gate_proj"]


def round_blocks(values):
    """Blocks of 32: sixteen steps from the smallest to the largest, then scale and minimum by least squares, twice. Stored in fp32."""
    blocks = values.reshape(-1, BLOCK).astype(np.float64)
    single = lambda numbers: numbers.astype(np.float32).astype(np.float64)
    low = single(blocks.min(1))
    scale = single((blocks.max(1) - blocks.min(1)) / LARGEST)

    def codes_of(scale, low):
        inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
        return np.clip(np.floor((blocks - low[:, None]) * inverse[:, None] + 0.5), 0, LARGEST)

    codes = codes_of(scale, low)
    for _ in range(REFITS):
        spread = BLOCK * (codes**2).sum(1) - codes.sum(1) ** 2
        assert (spread > 0).all()
        scale_64 = (BLOCK * (codes * blocks).sum(1) - blocks.sum(1) * codes.sum(1)) / spread
        low_64 = (blocks.sum(1) - scale_64 * codes.sum(1)) / BLOCK
        scale, low = single(scale_64), single(low_64)
        codes = codes_of(scale, low)
    product = (scale[:, None] * codes).astype(np.float32)
    return (product + low.astype(np.float32)[:, None]).reshape(values.shape), scale


def quantise(values):
    """Rounded until rounding again changes only last bits."""
    given = values.astype(np.float32)
    for _ in range(8):
        found, scale = round_blocks(given)
        change = np.abs(found.astype(np.float64) - given).reshape(-1, BLOCK)
        if (change <= 1e-5 * np.abs(scale)[:, None]).all():
            break
        given = found
    return found


class Params4bit:
    def __init__(self, data, **_options):
        self.data, self.quant_state = data, None

    def to(self, _device):
        return self


def loftq_init():
    """PEFT's function over our quantiser."""
    stand_in = types.ModuleType("bitsandbytes")
    stand_in.nn = types.SimpleNamespace(Params4bit=Params4bit)
    stand_in.functional = types.SimpleNamespace(
        dequantize_4bit=lambda data, _state: torch.from_numpy(quantise(data.numpy())).double()
    )
    sys.modules["bitsandbytes"] = stand_in
    source = inspect.getsource(loftq_utils.loftq_init).replace('"cuda"', '"cpu"').replace("torch.float32", "torch.float64")
    space = {**vars(loftq_utils), "is_bnb_available": lambda: True, "is_bnb_4bit_available": lambda: True}
    exec(source, space)
    return space["loftq_init"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    model = load_model("qwen2", ARCHITECTURES["qwen2"])
    init = loftq_init()
    tensors = {}
    for name in LAYERS:
        weight = model.get_submodule(name).weight.detach().double()
        plain = (weight - torch.from_numpy(quantise(weight.numpy()))).norm()
        for rounds in (1, 5):
            base, a, b = init(weight, num_bits=4, reduced_rank=RANK, num_iter=rounds)
            error = (weight - base - b @ a).norm() / plain
            print(f"{name}, {rounds} rounds: {error:.3f} of what rounding alone loses")
            for key, value in {"base": base, "a": a, "b": b}.items():
                tensors[f"{name}/{rounds}/{key}"] = value.float().contiguous()
    folder = HERE / "loftq"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "golden.safetensors")
    (folder / "golden.safetensors").chmod(0o644)
