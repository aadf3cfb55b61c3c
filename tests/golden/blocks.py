"""Makes tests/golden/weights/blocks.json: weights and what the GGUF package makes of them in Q4_1 and Q8_0; and encoded.json: their
bytes in the types that Lorikeet writes.

Run:  python tests/golden/blocks.py      (gguf 0.19, numpy 2, torch 2.13)
"""

import base64
import json
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

OUT = Path(__file__).parent / "weights" / "blocks.json"
BLOCKS, SIZE = 64, 32

rng = np.random.default_rng(20240609)
values = rng.standard_normal((BLOCKS, SIZE)) * 10.0 ** rng.uniform(-4, 1, (BLOCKS, 1))
values[0] = 0
values[1] = 0.25
values[2, 5] = 40  # one weight far above its block
values = values.astype(np.float32)

in_four = dequantize(quantize(values, T.Q4_1), T.Q4_1)
in_eight = quantize(values, T.Q8_0).reshape(BLOCKS, 34)[:, 2:].view(np.int8)
unrounded = values / np.maximum(np.abs(values).max(1, keepdims=True) / 127, 1e-30)
assert np.abs(np.abs(unrounded - np.floor(unrounded)) - 0.5).min() > 1e-5  # none hangs on the last bits

OUT.write_text(
    json.dumps(
        {
            "size": SIZE,
            "values": values.ravel().astype(float).tolist(),
            "errorsInQ4_1": np.linalg.norm(in_four - values, axis=1).astype(float).tolist(),
            "codesInQ8_0": in_eight.ravel().tolist(),
        }
    )
    + "\n"
)

# What weights become in the types that Lorikeet writes: numpy's halves, PyTorch's bfloat16, the GGUF package's blocks.
hard = np.clip(rng.standard_normal(SIZE * 24) * 10.0 ** rng.uniform(-9, 4.8, SIZE * 24), -65000, 65000).astype(np.float32)
hard[:SIZE] = 0
hard[SIZE : 2 * SIZE] = 0.25
hard[2 * SIZE : 3 * SIZE] = np.arange(SIZE) * 0.5  # halves, and 15.5 · 127/15.5
hard[3 * SIZE] = -0.0
hard[4 * SIZE : 5 * SIZE] = np.linspace(-1, 1, SIZE) * np.float32(2) ** -23  # subnormal halves
hard[5 * SIZE : 6 * SIZE] = np.float32(1) + np.arange(SIZE) * np.float32(2) ** -11  # between halves
hard[6 * SIZE : 7 * SIZE] = np.float32(1) + np.arange(SIZE) * np.float32(2) ** -8  # between bfloat16
encode = lambda array: base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
(OUT.parent / "encoded.json").write_text(
    json.dumps(
        {
            "values": encode(hard),
            "F16": encode(hard.astype(np.float16)),
            "BF16": encode(torch.from_numpy(hard).bfloat16().view(torch.int16).numpy()),
            **{type.name: encode(quantize(hard.reshape(-1, SIZE), type)) for type in (T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1)},
        }
    )
    + "\n"
)
