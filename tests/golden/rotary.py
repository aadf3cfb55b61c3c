"""Makes rotary/frequencies.json: the frequencies and the factor that transformers computes for each way of stretching them.

Versions: torch==2.13.0 transformers==5.17.0.

    python tests/golden/rotary.py
"""

import copy
import json

import torch
from transformers import LlamaConfig, Phi3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from make import HERE

SIZES = dict(hidden_size=64, num_attention_heads=4, num_hidden_layers=1, max_position_embeddings=4096)
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=256)
LONG = dict(short_factor=[1.0, 1.1, 1.2, 1.5, 2.0, 2.5], long_factor=[1.0, 2.0, 4.0, 9.0, 20.0, 41.0])
CASES = [
    (LlamaConfig, dict(rope_type="linear", factor=4.0), {}),
    (LlamaConfig, dict(rope_type="linear", factor=1.0, rope_theta=500000.0), dict(hidden_size=512)),
    (LlamaConfig, dict(rope_type="llama3", **{**LLAMA3, "original_max_position_embeddings": 8192}, rope_theta=500000.0), dict(hidden_size=512)),
    (LlamaConfig, dict(rope_type="llama3", **LLAMA3), {}),
    (LlamaConfig, dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=1024), {}),
    (LlamaConfig, dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=1024, truncate=False, beta_fast=16, beta_slow=2), {}),
    (LlamaConfig, dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=512, mscale=1.0, mscale_all_dim=0.8), {}),
    (LlamaConfig, dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=512, attention_factor=1.5), {}),
    (LlamaConfig, dict(rope_type="dynamic", factor=2.0), {}),
    (Phi3Config, dict(rope_type="longrope", partial_rotary_factor=0.75, **LONG), dict(original_max_position_embeddings=1024)),
]


def main():
    made = []
    for kind, rope, top in CASES:
        given = {**SIZES, **top, "rope_parameters": {"rope_theta": 10000.0, **rope}}
        config = kind(**copy.deepcopy(given))
        for positions in (1024, 4096):
            frequencies, factor = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, "cpu", seq_len=positions)
            made.append(
                {"config": given, "positions": positions, "frequencies": frequencies.tolist(), "factor": float(factor)}
            )
    folder = HERE / "rotary"
    folder.mkdir(exist_ok=True)
    (folder / "frequencies.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
