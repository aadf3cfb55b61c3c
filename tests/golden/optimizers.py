"""Makes the goldens of the optimizers' kernels: a vector of 12 values and what PyTorch makes of it.

Versions: torch==2.13.0. Computed in fp64 from values that fp32 holds exactly.

    python tests/golden/optimizers.py

writes tests/golden/training/optimizers.json: `cases`, each with its settings, the vector before (`start`), the gradient and
the learning rate of every step, and the vector after every step (`after`).
"""

import json
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parent / "training"
VALUES, STEPS = 12, 6

CASES = [
    dict(kind="adamw", beta1=0.9, beta2=0.999, epsilon=1e-8, weightDecay=0.0),
    dict(kind="adamw", beta1=0.8, beta2=0.95, epsilon=1e-3, weightDecay=0.1),
    dict(kind="sgd", momentum=0.0, weightDecay=0.0),
    dict(kind="sgd", momentum=0.9, weightDecay=0.05),
]


def make_optimizer(case, parameters):
    if case["kind"] == "adamw":
        betas = (case["beta1"], case["beta2"])
        return torch.optim.AdamW(parameters, betas=betas, eps=case["epsilon"], weight_decay=case["weightDecay"])
    return torch.optim.SGD(parameters, lr=1.0, momentum=case["momentum"], weight_decay=case["weightDecay"])


def run(case, generator):
    start = torch.randn(VALUES, generator=generator)
    # Gradients over several orders of magnitude, one of them zero throughout.
    size = torch.tensor([10.0 ** (i % 6 - 4) for i in range(VALUES)])
    size[3] = 0
    gradients = [torch.randn(VALUES, generator=generator) * size for _ in range(STEPS)]
    rates = [0.05 * (step + 1) / STEPS for step in range(STEPS)]
    vector = torch.nn.Parameter(start.double())
    optimizer = make_optimizer(case, [vector])
    after = []
    for gradient, rate in zip(gradients, rates):
        for group in optimizer.param_groups:
            group["lr"] = rate
        vector.grad = gradient.double()
        optimizer.step()
        after.append(vector.detach().tolist())
    return {**case, "start": start.tolist(), "gradients": [g.tolist() for g in gradients], "learningRates": rates, "after": after}


if __name__ == "__main__":
    seeded = torch.Generator().manual_seed(31)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "optimizers.json").write_text(json.dumps({"cases": [run(case, seeded) for case in CASES]}) + "\n")
