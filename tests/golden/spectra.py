"""Spectra of adapters and of matrices, by NumPy.

Writes lora/inspection.json (of the adapters of tiny-llama: the similarity of two of them and their amplification of W, from dense SVDs in
float64) and the folder rank/: matrices as CSV and .npy, with their rank, singular values and best approximations in rank.json.
"""

import json

import numpy as np
from safetensors.torch import load_file

from make import HERE


def write(path, value):
    path.write_text(json.dumps(value) + "\n")


def changes(folder):
    """Each layer's ΔW = s·BA in float64, and its rank, read from PEFT's folder."""
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    scales = json.loads((HERE / "lora/decomposition.json").read_text())
    facts = scales["patterns" if folder.name == "patterns" else "adapter"]
    assert config["peft_type"] == "LORA"
    found = {}
    for name in facts:
        a = tensors[f"base_model.model.{name}.lora_A.weight"].double().numpy()
        b = tensors[f"base_model.model.{name}.lora_B.weight"].double().numpy()
        found[name] = (facts[name]["scale"] * b @ a, a.shape[0])
    return found


def phi(one, other):
    """Hu et al. 2021, eq. 4, of the right singular vectors of two ΔW: [i − 1][j − 1]."""
    (first, rank), (second, other_rank) = one, other
    u = np.linalg.svd(first)[2][:rank]
    v = np.linalg.svd(second)[2][:other_rank]
    return [
        [float(np.linalg.norm(u[:i] @ v[:j].T) ** 2 / min(i, j)) for j in range(1, other_rank + 1)] for i in range(1, rank + 1)
    ]


def amplification(change, weight):
    """Hu et al. 2021, section 7.3: ‖ΔW‖_F, ‖UᵀWV‖_F and ‖W‖_F."""
    delta, rank = change
    u, _, vt = np.linalg.svd(delta)
    projection = u[:, :rank].T @ weight @ vt[:rank].T
    return {
        "factor": float(np.linalg.norm(delta) / np.linalg.norm(projection)),
        "projection": float(np.linalg.norm(projection)),
        "weightNorm": float(np.linalg.norm(weight)),
    }


def inspection():
    plain, patterns = changes(HERE / "tiny-llama/adapter"), changes(HERE / "lora/patterns")
    weights = load_file(HERE / "tiny-llama/model.safetensors")
    return {
        "similarity": {name: phi(plain[name], patterns[name]) for name in patterns},
        "amplification": {name: amplification(plain[name], weights[f"{name}.weight"].double().numpy()) for name in plain},
    }


def facts(matrix, best):
    """NumPy's rank and singular values, and the errors of the best approximation of rank `best`, measured on the matrix itself."""
    u, values, vt = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    left_out = matrix - (u[:, :best] * values[:best]) @ vt[:best]
    return {
        "rows": matrix.shape[0],
        "columns": matrix.shape[1],
        "rank": int(np.linalg.matrix_rank(matrix)),
        "singularValues": values.tolist(),
        "best": best,
        "error": float(np.linalg.norm(left_out)),
        "largestError": float(np.linalg.norm(left_out, 2)),
    }


def matrices():
    random = np.random.default_rng(7)
    textbook = np.array([[1, 2], [3, 4], [5, 6], [7, 8]]) @ np.array([[1, 0, 1, 0, 1], [0, 1, 0, 1, 0]])
    wide = (random.normal(size=(6, 3)) @ random.normal(size=(3, 9))).astype(np.float32)
    tall = np.asfortranarray(random.normal(size=(11, 4)))
    square = random.integers(-9, 9, size=(5, 5)).astype(">i2")
    folder = HERE / "rank"
    np.savetxt(folder / "textbook.csv", textbook, fmt="%d", delimiter=",")
    for name, matrix in {"wide": wide, "tall": tall, "square": square}.items():
        np.save(folder / f"{name}.npy", matrix)
    return {
        "textbook.csv": facts(textbook, 1),
        "wide.npy": facts(wide, 2),
        "tall.npy": facts(tall, 3),
        "square.npy": facts(square, 2),
    }


write(HERE / "lora/inspection.json", inspection())
write(HERE / "rank/rank.json", matrices())
