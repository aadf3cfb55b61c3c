"""What the goldens of architectures and of encoders share (architectures.py, encoders.py): how the tiny models are drawn, how large
their adapters are, and what is taken out of them to see that it counts."""

import copy

import torch

RANK, ALPHA = 2, 4
STEPS = 10
# Relative change of the logits that leaving a part out must make. int8 changes them by a few hundredths.
NOTICED = 0.1


def randomise(model, seed, matrix=0.25, gain=0.3, bias=0.8):
    """Matrices of about unit gain; gains away from one and biases away from zero, so that each of them counts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                weight.copy_(matrix * noise)
            else:
                weight.copy_(bias * noise if name.endswith("bias") else weight + gain * noise)


@torch.no_grad()
def plain_vectors(base):
    """Copies of a model in which the vectors of one kind, gains or biases of a name, are as in a new model, by that kind."""
    initial = dict(type(base)(base.config).named_parameters())
    copies = {}
    for kind in {".".join(key.split(".")[-2:]) for key, weight in base.named_parameters() if weight.ndim == 1}:
        model = copy.deepcopy(base)
        for key, weight in model.named_parameters():
            if key.endswith(kind):
                weight.copy_(torch.zeros_like(weight) if key.endswith("bias") else initial[key])
        copies[f"plain {kind}"] = model
    return copies


def padded_left(batch):
    """The same texts with their padding in front, at the positions that they had."""
    mask = batch["attention_mask"]
    turned = {
        key: torch.stack([row.roll(int((1 - real).sum())) for row, real in zip(value, mask)]) for key, value in batch.items()
    }
    return {**turned, "position_ids": (turned["attention_mask"].cumsum(-1) - 1).clamp(min=0)}


def relative(got, want):
    return ((got - want).norm() / want.norm()).item()
