"""Makes tests/golden/weights/blocks.json: weights and what the GGUF package makes of them in Q4_1 and Q8_0.

Run:  python tests/golden/blocks.py      (gguf 0.19, numpy 2)
"""

import json
from pathlib import Path

import numpy as np
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
