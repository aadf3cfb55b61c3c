"""Makes tests/golden/weights/k-quants.json: weights, and what ggml's own quantiser loses of each super-block in Q4_K, Q5_K and Q6_K.

Run:  python tests/golden/k_quants.py NODE_MODULES/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so
      (gguf 0.19, numpy 2; the library is that of node-llama-cpp 3.22)
"""

import base64
import ctypes
import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

SUPER_BLOCKS, SIZE = 16, 256

ggml = ctypes.CDLL(sys.argv[1])
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
# type, weights, result, first weight, rows, weights of a row, importances
pointer, whole = ctypes.c_void_p, ctypes.c_int64
ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, whole, whole, whole, pointer]


def quantize(values: np.ndarray, type: T) -> np.ndarray:
    weights, size = GGML_QUANT_SIZES[type]
    out = np.zeros(values.size // weights * size, np.uint8)
    written = ggml.ggml_quantize_chunk(int(type), values.ctypes.data, out.ctypes.data, 0, 1, values.size, None)
    assert written == out.size
    return out


rng = np.random.default_rng(20261124)
values = rng.standard_normal((SUPER_BLOCKS, SIZE)) * 10.0 ** rng.uniform(-3, 0, (SUPER_BLOCKS, 1))
values[0] = 0
values[1] = 0.25  # all alike, and above zero
values[2] = -np.abs(values[2])
values[3] = np.abs(values[3]) + 0.5  # far from zero: its minimum would be above it
values[4, 7] = 40  # one weight far above its block
values[5] = np.round(values[5] / 0.01) * 0.01  # of few different values
values[6, :32] = 0
values = np.ascontiguousarray(values.astype(np.float16).astype(np.float32))

errors = {}
for type in (T.Q4_K, T.Q5_K, T.Q6_K):
    found = dequantize(quantize(values.ravel(), type), type).reshape(values.shape)
    errors[type.name] = np.linalg.norm(found.astype(np.float64) - values, axis=1).tolist()
out = {"values": base64.b64encode(values.astype(np.float16).tobytes()).decode(), "errors": errors}
(Path(__file__).parent / "weights" / "k-quants.json").write_text(json.dumps(out) + "\n")
