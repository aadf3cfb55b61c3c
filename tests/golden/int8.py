"""Makes tests/golden/weights/int8.json: a small weight rounded to 8 bits in both directions, by NumPy in fp64, from the papers' formulas.

Run:  python tests/golden/int8.py      (numpy 2)
"""

import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "weights" / "int8.json"
ROWS, INPUTS, OUTPUTS = 20, 16, 24
LOUD, SILENT = 3, 7  # channels of x: far above the others, and zero throughout

rng = np.random.default_rng(20240608)
x = rng.standard_normal((ROWS, INPUTS)) + rng.standard_normal(INPUTS)
x[:, LOUD] *= 40
x[:, SILENT] = 0
weight = rng.standard_normal((OUTPUTS, INPUTS)) * np.exp(rng.standard_normal(INPUTS))
weight[5] = 0
x, weight = (array.astype(np.float32).astype(np.float64) for array in (x, weight))


def rounded(values):
    """Whole numbers; none of them may hang on the last bits of fp32."""
    assert np.abs(np.abs(values - np.floor(values)) - 0.5).min() > 1e-4
    return np.rint(values)


def divided(values, by):
    return np.divide(values, by, out=np.zeros_like(values), where=np.broadcast_to(by, values.shape) != 0)


def factors(alpha):
    """SmoothQuant, eq. 4: x / s and W * s; here 1/s. Silent channels count as a thousandth of the loudest."""
    largest = lambda array: np.maximum(np.abs(array).max(0), np.abs(array).max() / 1000)
    return 1 / (largest(x) ** alpha / largest(weight) ** (1 - alpha))


def forward(smooth):
    """Codes of W / smooth, each rounded to the nearest, a scale for each output, and what that takes from W E[x] (Nagel et al. 2019, eq. 17)."""
    scaled = divided(weight, smooth)  # [out, in]
    scales = np.abs(scaled).max(1) / 127
    exact = divided(scaled, scales[:, None])
    codes = rounded(exact)
    bias = (weight - codes * scales[:, None] * smooth) @ x.mean(0)
    return {
        "exact": exact.T.ravel().tolist(),  # [in, out]
        "codes": codes.T.astype(int).ravel().tolist(),
        "scales": scales.tolist(),
        "bias": bias.tolist(),
    }


def backward():
    scales = np.abs(weight).max(0) / 127
    return {"codes": rounded(divided(weight, scales)).astype(int).ravel().tolist(), "scales": scales.tolist()}  # [out, in]


def rounding_errors(smooth):
    """What rounding x * smooth by ONNX's DynamicQuantizeLinear or by rows, and W / smooth by rows, costs x W^T, by matrices of variances."""
    values, scaled = x * smooth, weight / smooth
    scale = (max(values.max(), 0) - min(values.min(), 0)) / 255
    zero = np.clip(np.rint(-min(values.min(), 0) / scale), 0, 255)
    tensor = (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale
    by_rows = lambda array: (lambda s: rounded(divided(array, s)) * s)(np.abs(array).max(1, keepdims=True) / 127)
    power = lambda left, right: (left**2 @ (right**2).T).sum()
    share = lambda left, right: float(np.sqrt(power(left, right) / power(x, weight)))
    return {
        "tensor": share(tensor - values, scaled),
        "row": share(by_rows(values) - values, scaled),
        "weight": share(values, by_rows(scaled) - scaled),
    }


smooth = factors(0.5)
golden = {
    "rows": ROWS,
    "inputs": INPUTS,
    "outputs": OUTPUTS,
    "x": x.ravel().tolist(),
    "weight": weight.ravel().tolist(),
    "inputMaxima": np.abs(x).max(0).tolist(),
    "weightMaxima": np.abs(weight).max(0).tolist(),
    "mean": x.mean(0).tolist(),
    "variance": x.var(0).tolist(),
    "smooth": smooth.tolist(),
    "smoothMore": factors(0.8).tolist(),
    "forward": forward(smooth),
    "backward": backward(),
    "roundingErrors": rounding_errors(smooth),
    "roundingErrorsUnsmoothed": rounding_errors(np.ones(INPUTS)),
}
OUT.write_text(json.dumps(golden) + "\n")
