"""Makes the goldens of single operations: outputs and gradients by PyTorch, in fp64 from fp32 inputs.

Versions: torch==2.13.0 transformers==5.17.0 numpy==2.4.6. On the CPU, with fixed seeds.

    python tests/golden/ops.py

writes tests/golden/ops/golden.json: for each case of tests/ops/cases.ts, by name, `dimensions` (values of its symbolic
extents), `inputs`, `outputs`, and, where gradients flow, `cotangents` (one for each output) and `gradients` of
sum(cotangent * output). Values are flat lists, row-major.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers.masking_utils import (
    bidirectional_mask_function,
    causal_mask_function,
    sliding_window_bidirectional_mask_function,
    sliding_window_causal_mask_function,
)

HERE = Path(__file__).resolve().parent
rng = np.random.default_rng(7)
CASES = {}


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def case(name, dimensions, inputs, trained, compute):
    """Runs `compute(**tensors)` in fp64 and records it."""
    tensors = {}
    for key, value in inputs.items():
        tensor = torch.from_numpy(np.asarray(value))
        tensors[key] = tensor.double() if tensor.is_floating_point() else tensor
        if key in trained:
            tensors[key].requires_grad_(True)
    outputs = compute(**tensors)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    record = {
        "dimensions": dimensions,
        "inputs": {key: flat(tensor) for key, tensor in tensors.items()},
        "outputs": [flat(output) for output in outputs],
    }
    if trained:
        cotangents = [torch.from_numpy(normal(*output.shape)).double() for output in outputs]
        total = sum((cotangent * output).sum() for cotangent, output in zip(cotangents, outputs))
        found = torch.autograd.grad(total, [tensors[key] for key in trained])
        record["cotangents"] = [flat(cotangent) for cotangent in cotangents]
        record["gradients"] = {key: flat(gradient) for key, gradient in zip(trained, found)}
    assert name not in CASES, name
    CASES[name] = record


def flat(tensor):
    """Nine digits say a float32 exactly; the mask's -1e30 stays a number."""
    values = tensor.detach().reshape(-1).tolist()
    return [v if isinstance(v, int) else float(f"{v:.9g}") for v in values]


def elementwise(name, op):
    shapes = {
        "equal shapes": ({"n": 3}, (3, 4), (3, 4)),
        "a row": ({"n": 3}, (3, 4), (4,)),
        "a column and a row": ({"n": 3}, (3, 1), (1, 4)),
        "a scalar": ({"n": 3}, (3, 4), ()),
        "one step for all sequences": ({"batch": 2, "tokens": 3}, (2, 3, 2), (1, 3, 1)),
    }
    for label, (dimensions, a, b) in shapes.items():
        case(f"{name}: {label}", dimensions, {"a": normal(*a), "b": normal(*b)}, ["a", "b"], op)


def linear():
    n = {"n": 5}
    x, weight = normal(5, 4), normal(3, 4)
    case("linear", n, dict(x=x, weight=weight), ["x", "weight"], lambda x, weight: F.linear(x, weight))
    case(
        "linear: scaled, with an addend",
        n,
        dict(x=x, weight=weight, addend=normal(5, 3)),
        ["x", "weight", "addend"],
        lambda x, weight, addend: addend + 0.5 * F.linear(x, weight),
    )
    case(
        "linear: with a bias",
        n,
        dict(x=x, weight=weight, bias=normal(3)),
        ["x", "weight", "bias"],
        lambda x, weight, bias: F.linear(x, weight, bias),
    )
    case(
        "linear: two of one input",
        n,
        dict(x=x, first=normal(3, 4), second=normal(2, 4)),
        ["x", "first", "second"],
        lambda x, first, second: [3 * F.linear(x, first), F.linear(x, second)],
    )
    case("frozenLinear", n, dict(x=x, weight=weight), ["x"], lambda x, weight: F.linear(x, weight))
    case(
        "frozenLinear: two of one input",
        n,
        dict(x=x, first=normal(3, 4), second=normal(2, 4)),
        ["x"],
        lambda x, first, second: [F.linear(x, first), F.linear(x, second)],
    )


CAUSAL = causal_mask_function


def visible(segments, sees=CAUSAL):
    """[B, 1, T, T]: true where query i may see key j, by one of transformers' functions of batch, head, i and j."""
    order = torch.arange(segments.shape[1])
    seen = sees(0, 0, order[:, None], order[None, :])
    return (seen & (segments[:, :, None] == segments[:, None, :]))[:, None]


def heads_of(x, heads):
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def attend(q, keys, values, mask, soft_cap=None):
    """Of heads apart, the mask true where a query sees a key."""
    if soft_cap is None:
        out = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, scale=0.7)
    else:
        scores = soft_cap * torch.tanh(0.7 * q @ keys.transpose(2, 3) / soft_cap)
        out = scores.masked_fill(~mask, -torch.inf).softmax(3) @ values
    return out.transpose(1, 2).flatten(2)


def attention(heads, kv_heads, size, label=None, sees=CAUSAL, soft_cap=None):
    """Eight tokens, so that they are computed in up to four chunks of several: one sequence is full, one holds two texts and padding."""
    segments = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 2, 2, 0, 0, 0]], dtype=np.float32)

    def compute(q, k, v, segments, order):
        repeat = heads // kv_heads
        keys = heads_of(k, kv_heads).repeat_interleave(repeat, 1)
        values = heads_of(v, kv_heads).repeat_interleave(repeat, 1)
        return attend(heads_of(q, heads), keys, values, visible(segments, sees), soft_cap)

    inputs = dict(
        q=normal(2, 8, heads * size),
        k=normal(2, 8, kv_heads * size),
        v=normal(2, 8, kv_heads * size),
        segments=segments,
        order=np.arange(8, dtype=np.float32),
    )
    case(f"attention: {label or f'{heads} heads on {kv_heads}'}", {"batch": 2, "tokens": 8}, inputs, ["q", "k", "v"], compute)


def cached_attention(heads, kv_heads, size, label=None, soft_cap=None):
    past, filled = 5, 3
    segments = np.array([[1, 1, 1], [1, 1, 0]], dtype=np.float32)
    held = torch.arange(past).lt(filled).expand(2, 1, 3, past)
    mask = torch.cat([held, visible(torch.from_numpy(segments))], 3)

    def compute(q, k, v, pastKeys, pastValues, bias):
        keys = torch.cat([pastKeys[:filled].permute(1, 2, 0, 3), heads_of(k, kv_heads)], 2).repeat_interleave(heads // kv_heads, 1)
        values = torch.cat([pastValues[:filled].permute(1, 2, 0, 3), heads_of(v, kv_heads)], 2).repeat_interleave(heads // kv_heads, 1)
        return attend(heads_of(q, heads), keys, values, torch.cat([mask[..., :filled], mask[..., past:]], 3), soft_cap)

    inputs = dict(
        q=normal(2, 3, heads * size),
        k=normal(2, 3, kv_heads * size),
        v=normal(2, 3, kv_heads * size),
        pastKeys=normal(past, 2, kv_heads, size),
        pastValues=normal(past, 2, kv_heads, size),
        bias=torch.where(mask, 0.0, -1e30).numpy().astype(np.float32),
    )
    dimensions = {"batch": 2, "tokens": 3, "past": past, "seen": past + 3}
    case(f"cachedAttention: {label or f'{heads} heads on {kv_heads}'}", dimensions, inputs, [], compute)


def past_attention(heads, kv_heads, size, label, soft_cap=None):
    """New tokens after a cache whose beginning is padding in one of the sequences; the cache comes out longer."""
    past = 4
    real = torch.tensor([[1] * past, [0, 0] + [1] * (past - 2)], dtype=torch.bool)
    causal = torch.ones(3, past + 3, dtype=torch.bool).tril(past)
    mask = causal & torch.cat([real, torch.ones(2, 3, dtype=torch.bool)], 1)[:, None, None, :]

    def compute(q, k, v, pastKeys, pastValues, bias):
        keys, values = torch.cat([pastKeys, heads_of(k, kv_heads)], 2), torch.cat([pastValues, heads_of(v, kv_heads)], 2)
        shared = [each.repeat_interleave(heads // kv_heads, 1) for each in (keys, values)]
        return [attend(heads_of(q, heads), *shared, mask, soft_cap), keys, values]

    rows, cache = (2, 3, kv_heads * size), (2, kv_heads, past, size)
    inputs = dict(
        q=normal(2, 3, heads * size),
        k=normal(*rows),
        v=normal(*rows),
        pastKeys=normal(*cache),
        pastValues=normal(*cache),
        bias=torch.where(mask, 0.0, -1e30).numpy().astype(np.float32),
    )
    dimensions = {"batch": 2, "tokens": 3, "past": past, "seen": past + 3}
    case(f"pastAttention: {label}", dimensions, inputs, [], compute)


def one_token(heads, kv_heads, size, label, soft_cap=None):
    """A single token of a single sequence, which sees all that is held, and itself."""

    def compute(q, k, v, pastKeys, pastValues):
        keys = torch.cat([pastKeys.permute(1, 2, 0, 3), heads_of(k, kv_heads)], 2).repeat_interleave(heads // kv_heads, 1)
        values = torch.cat([pastValues.permute(1, 2, 0, 3), heads_of(v, kv_heads)], 2).repeat_interleave(heads // kv_heads, 1)
        return attend(heads_of(q, heads), keys, values, torch.ones(1, 1, 1, keys.shape[2], dtype=torch.bool), soft_cap)

    rows, cache = (1, 1, kv_heads * size), (5, 1, kv_heads, size)
    inputs = dict(q=normal(1, 1, heads * size), k=normal(*rows), v=normal(*rows), pastKeys=normal(*cache), pastValues=normal(*cache))
    case(f"cachedAttention: {label}", {"past": 5}, inputs, [], compute)


def attention_bias():
    segments = np.array([[1, 1, 1, 2], [1, 1, 0, 0]], dtype=np.float32)
    inputs = dict(segments=segments, order=np.arange(4, dtype=np.float32))

    def whole(segments, order):
        return torch.where(visible(segments), 0.0, -1e30)

    def halves(segments, order):
        """The first two queries end before the last two keys."""
        bias = whole(segments, order)
        return [bias[:, :, :2, :2], bias[:, :, 2:]]

    case("attentionBias", {"batch": 2, "tokens": 4}, inputs, [], whole)
    case("attentionBias: in 2 chunks", {"batch": 2, "queries": 2}, inputs, [], halves)


def rotary():
    """As in transformers: x cos + rotate_half(x) sin, with cos and sin repeated for both halves."""

    def compute(x, positions, cos, sin):
        heads = x.unflatten(2, (3, 4))
        c = torch.cat([cos, cos], 1)[positions][:, :, None]
        s = torch.cat([sin, sin], 1)[positions][:, :, None]
        first, second = heads.chunk(2, -1)
        return (heads * c + torch.cat([-second, first], -1) * s).flatten(2)

    angles = normal(8, 2) * 3
    inputs = dict(
        x=normal(2, 3, 12),
        positions=rng.integers(0, 8, (2, 3)),
        cos=np.cos(angles),
        sin=np.sin(angles),
    )
    case("rotaryEmbedding", {"batch": 2, "tokens": 3}, inputs, ["x"], compute)


def rotary_part():
    """Heads of six values, of which the first four turn."""

    def compute(x, positions, cos, sin):
        turning, staying = x.unflatten(2, (3, 6)).split([4, 2], -1)
        c = torch.cat([cos, cos], 1)[positions][:, :, None]
        s = torch.cat([sin, sin], 1)[positions][:, :, None]
        first, second = turning.chunk(2, -1)
        turned = turning * c + torch.cat([-second, first], -1) * s
        return torch.cat([turned, staying], -1).flatten(2)

    angles = normal(8, 2) * 3
    inputs = dict(x=normal(2, 3, 18), positions=rng.integers(0, 8, (2, 3)), cos=np.cos(angles), sin=np.sin(angles))
    case("rotaryEmbedding: a part of each head", {"batch": 2, "tokens": 3}, inputs, ["x"], compute)


def vocabulary_loss():
    """
    Row 0 is far outside of what exp can hold; row 1 is certain and right, row 2 certain and wrong. Eight rows, so that they are
    computed in up to four chunks of several.
    """
    x, weight = normal(8, 4), normal(9, 4)
    x[0] = 300 * weight[7] - 200 * weight[3]
    weight[4] *= 3
    x[1] = x[2] = 8 * weight[4]
    inputs = dict(x=x, weight=weight, targets=np.array([3, 4, 0, 8, 8, 0, 4, 2]))

    def compute(x, weight, targets):
        return F.cross_entropy(x @ weight.T, targets, reduction="none")

    case("vocabularyLoss", {"n": 8}, inputs, ["x", "weight"], compute)
    case("vocabularyLoss: measured", {"n": 8}, inputs, [], compute)


def capped_loss():
    """Row 0 has all logits near the cap or its negative, row 1 is nearly certain and right."""
    x, weight = normal(8, 4), normal(9, 4)
    x[0] *= 30
    weight[4] *= 2
    x[1] = 0.3 * weight[4]
    inputs = dict(x=x, weight=weight, targets=np.array([3, 4, 0, 8, 8, 0, 4, 2]))

    def compute(x, weight, targets):
        return F.cross_entropy(2 * torch.tanh(x @ weight.T / 2), targets, reduction="none")

    case("vocabularyLoss: soft cap", {"n": 8}, inputs, ["x", "weight"], compute)


def low_rank_loss():
    """A matrix of rank 2 beside W; row 0 is certain and right, row 1 certain and wrong, by what that matrix adds."""
    x, weight, factors, table = normal(8, 4), normal(9, 4), normal(8, 2), normal(9, 2)
    factors[0] = 30 * table[3]
    factors[1] = 30 * table[2]
    inputs = dict(x=x, weight=weight, targets=np.array([3, 4, 0, 8, 8, 0, 4, 2]), factors=factors, table=table)
    names = ["x", "weight", "factors", "table"]

    def loss(x, weight, targets, factors, table):
        return F.cross_entropy(x @ weight.T + factors @ table.T, targets, reduction="none")

    def capped(x, weight, targets, factors, table):
        return F.cross_entropy(2 * torch.tanh((x @ weight.T + factors @ table.T) / 2), targets, reduction="none")

    case("vocabularyLoss: low rank", {"n": 8}, inputs, names, loss)
    case("vocabularyLoss: low rank, measured", {"n": 8}, inputs, [], loss)
    milder = inputs | dict(factors=normal(8, 2))
    case("vocabularyLoss: low rank, soft cap", {"n": 8}, milder, names, capped)


def products():
    a, b = normal(5, 4), normal(4, 3)
    for turn_a in (False, True):
        for turn_b in (False, True):
            words = " and ".join(name for name, turned in (("a", turn_a), ("b", turn_b)) if turned)
            inputs = dict(a=np.ascontiguousarray(a.T) if turn_a else a, b=np.ascontiguousarray(b.T) if turn_b else b)

            def compute(a, b, turn_a=turn_a, turn_b=turn_b):
                return 0.5 * (a.T if turn_a else a) @ (b.T if turn_b else b)

            case("matrixProduct" + (f": {words} transposed" if words else ""), {"n": 5}, inputs, ["a", "b"], compute)


def dropout():
    table = rng.random(40).astype(np.float32)
    rate, n = 0.4, 5

    def compute(x, table, start, end):
        keep = (table[start.item() : end.item()] >= rate).double().reshape(n, 4)
        return x * keep / (1 - rate)

    inputs = dict(x=normal(n, 4), table=table, start=np.array([7]), end=np.array([7 + 4 * n]))
    case("dropout", {"n": n, "uniforms": 40}, inputs, ["x"], compute)


def update():
    """One clipped step of AdamW, by torch.optim on the same numbers; the step's own factors are fed, as the graph wants them."""
    gradient, scale, limit = 3 * normal(7), np.float32([0.5]), np.float32([1.25])

    def clip(gradient, scale, limit):
        scaled = torch.nn.Parameter(torch.zeros_like(gradient))
        scaled.grad = (gradient * scale).clone()
        norm = torch.nn.utils.clip_grad_norm_([scaled], limit.item())
        return [scaled.grad, norm.reshape(1)]

    case("clipByNorm", {"n": 7}, dict(gradient=gradient, scale=scale, limit=limit), [], clip)
    wide = np.float32([1e30])
    case("clipByNorm: within the limit", {"n": 7}, dict(gradient=gradient, scale=scale, limit=wide), [], clip)

    rate, decay, betas, step = 0.05, 0.1, (0.9, 0.99), 3
    factors = dict(
        stepSize=np.float32([rate / (1 - betas[0] ** step)]),
        correction=np.float32([math.sqrt(1 - betas[1] ** step)]),
        keep=np.float32([1 - rate * decay]),
    )

    def adamw(parameters, gradient, first, second, stepSize, correction, keep):
        parameter = torch.nn.Parameter(parameters.clone())
        parameter.grad = gradient.clone()
        optimizer = torch.optim.AdamW([parameter], lr=rate, betas=betas, eps=1e-8, weight_decay=decay)
        state = {"step": torch.tensor(float(step - 1)), "exp_avg": first.clone(), "exp_avg_sq": second.clone()}
        optimizer.state[parameter] = state
        optimizer.step()
        return [parameter.detach(), state["exp_avg"], state["exp_avg_sq"]]

    vectors = dict(parameters=normal(7), gradient=normal(7), first=normal(7), second=normal(7) ** 2)
    case("adamw", {"n": 7}, dict(**vectors, **factors), [], adamw)


def activations():
    """Among the inputs of each are some where it is flat, and zero."""
    n = {"n": 4}
    x, gate = normal(4, 5), normal(4, 5)
    x[0] = gate[0] = [-100, -20, 0, 20, 100]
    x[1] = gate[1] = [-6, -4, 1e-4, 4, 6]
    for kind, approximate in dict(erf="none", tanh="tanh").items():
        case(f"gelu: {kind}", n, dict(x=x), ["x"], lambda x: F.gelu(x, approximate=approximate))
        case(
            f"geglu: {kind}",
            n,
            dict(gate=gate, up=normal(4, 5)),
            ["gate", "up"],
            lambda gate, up: F.gelu(gate, approximate=approximate) * up,
        )
    case("tanh", n, dict(x=x), ["x"], torch.tanh)
    case("softCap", n, dict(x=x), ["x"], lambda x: 1.5 * torch.tanh(x / 1.5))


def layer_norm():
    """Row 0 lies far from zero, row 1 is constant."""
    x = normal(4, 6)
    x[0] += 30
    x[1] = 2
    norm = dict(x=x, gain=normal(6), bias=normal(6))
    case("layerNorm", {"n": 4}, norm, ["x", "gain", "bias"], lambda x, gain, bias: F.layer_norm(x, (6,), gain, bias, 1e-1))
    del norm["bias"]
    case("layerNorm: without a bias", {"n": 4}, norm, ["x", "gain"], lambda x, gain: F.layer_norm(x, (6,), gain, None, 1e-1))


def heads_of_tasks():
    """Row 0 of the logits is certain and right, row 1 certain and wrong."""
    logits = normal(5, 3)
    logits[0] = logits[1] = [-200, 300, 0]
    inputs = dict(logits=logits, targets=np.array([1, 2, 0, 0, 1]))
    case("crossEntropy", {"n": 5}, inputs, ["logits"], lambda logits, targets: F.cross_entropy(logits, targets, reduction="none"))
    case(
        "crossEntropy: weighted classes",
        {"n": 5},
        dict(**inputs, weights=np.float32([0.3, 1, 2.5])),
        ["logits"],
        lambda logits, targets, weights: F.cross_entropy(logits, targets, weight=weights, reduction="none"),
    )
    pair = dict(predictions=normal(5), targets=normal(5))
    squared = lambda predictions, targets: F.mse_loss(predictions, targets, reduction="none")
    case("squaredError", {"n": 5}, pair, ["predictions", "targets"], squared)

    # Two texts of three tokens and one, and two tokens of padding: the means of each text's.
    shares = np.float32([[1 / 3, 1 / 3, 1 / 3, 0, 0, 0], [0, 0, 0, 1, 0, 0]])
    case("poolRows", {"n": 6, "batch": 2}, dict(x=normal(6, 4), shares=shares), ["x", "shares"], lambda x, shares: shares @ x)
    x = normal(5, 4)
    x[0] *= 0.1
    x[1] *= 10
    case("l2Normalise", {"n": 5}, dict(x=x), ["x"], lambda x: F.normalize(x))
    zeros = normal(3, 4)
    zeros[1] = 0
    case("l2Normalise: zeros", {"n": 3}, dict(x=zeros), [], lambda x: F.normalize(x))


def in_batch_loss():
    """Five pairs; the third row of scores is far from level, the fourth anchor is not told from two positives, the last from none."""
    anchors, positives = normal(5, 4), normal(5, 4)
    anchors[2] *= 30
    candidates = np.ones((5, 5), np.float32)
    candidates[3, [0, 4]] = 0
    candidates[4, :4] = 0

    def compute(anchors, positives, candidates):
        scores = (2 * anchors @ positives.T).masked_fill(candidates == 0, -math.inf)
        return F.cross_entropy(scores, torch.arange(5), reduction="none")

    inputs = dict(anchors=anchors, positives=positives, candidates=candidates)
    case("inBatchLoss", {"pairs": 5}, inputs, ["anchors", "positives"], compute)


def magnitude_gain():
    """DoRA's factor, from W itself; the norm is detached."""
    weight, a, b = normal(5, 4), normal(2, 4), normal(5, 2)
    squares = (weight.astype(np.float64) ** 2).sum(1)
    inputs = dict(magnitude=normal(5), a=a, b=b, through=(a @ weight.T), squares=squares.astype(np.float32))

    def gain(magnitude, a, b, through, squares):
        adapted = torch.from_numpy(weight).double() + 1.5 * b @ a
        return magnitude / torch.linalg.norm(adapted, dim=1).detach()

    case("magnitudeGain", {}, inputs, ["magnitude"], gain)


def row_adapters():
    """Two parts of three rows, each with a stack of two adapters of rank 1 beside two layers; and a single row with one."""

    def compute(x, a, mask, firstB, firstAddend, secondB, secondAddend):
        own = torch.einsum("gmi,gri->gmr", x.reshape(2, 3, 4), a) * mask
        parts = zip(own.split(2, 2), (firstB, secondB), (firstAddend, secondAddend))
        return [addend + (part @ b).reshape(6, -1) for part, b, addend in parts]

    mask = np.zeros((2, 3, 4), np.float32)
    for part, row, rank in [(0, 0, 0), (0, 2, 1), (1, 0, 1), (1, 1, 0)]:  # the other rows have no adapter
        mask[part, row, [rank, 2 + rank]] = 1
    stacks = dict(a=normal(2, 4, 4), mask=mask)
    layers = dict(firstB=normal(2, 2, 3), firstAddend=normal(6, 3), secondB=normal(2, 2, 5), secondAddend=normal(6, 5))
    case("rowAdapters", {"parts": 2, "members": 3, "ranks": 2}, dict(x=normal(6, 4), **stacks, **layers), [], compute)
    alone = dict(x=normal(1, 4), a=normal(4, 4), firstB=normal(2, 3), firstAddend=normal(1, 3), secondB=normal(2, 5), secondAddend=normal(1, 5))

    def one(x, a, firstB, firstAddend, secondB, secondAddend):
        first, second = (x @ a.T).split(2, 1)
        return [firstAddend + first @ firstB, secondAddend + second @ secondB]

    case("rowAdapters: a single row", {"ranks": 2}, alone, [], one)


def main():
    elementwise("add", lambda a, b: a + b)
    elementwise("mul", lambda a, b: a * b)
    linear()
    n = {"n": 4}
    case("splitColumns", n, dict(x=normal(4, 6)), ["x"], lambda x: list(x.split([2, 3, 1], 1)))
    case("splitColumns: one piece without a reader", n, dict(x=normal(4, 6)), ["x"], lambda x: [x[:, :2], x[:, 5:]])
    attention(2, 2, 4)
    attention(4, 2, 2)
    attention(3, 1, 2)
    cached_attention(2, 2, 2)
    cached_attention(4, 2, 2)
    attention_bias()
    vocabulary_loss()
    dropout()
    table = dict(table=normal(5, 3), index=np.array([4, 0, 4, 2, 4, 0]))  # rows repeat, and 1 and 3 are never read
    case("gatherRows", {"n": 6}, table, ["table"], lambda table, index: F.embedding(index, table))
    both = {"batch": 2, "tokens": 3}
    case("reshape: to rows", both, dict(x=normal(2, 3, 6)), ["x"], lambda x: x.reshape(6, 6))
    case("reshape: to heads", both, dict(x=normal(6, 6)), ["x"], lambda x: x.reshape(2, 3, 2, 3))
    norm = dict(x=normal(4, 6), gain=normal(6))
    case("rmsNorm", n, norm, ["x", "gain"], lambda x, gain: F.rms_norm(x, (6,), gain, 1e-2))
    rotary()
    gate = normal(4, 5)
    gate[0] = [-100, -20, 0, 20, 100]  # where the sigmoid is flat
    case("swiglu", n, dict(gate=gate, up=normal(4, 5)), ["gate", "up"], lambda gate, up: F.silu(gate) * up)
    case("weightedSum", {"n": 5}, dict(values=normal(5), weights=normal(5)), ["values", "weights"], lambda values, weights: torch.dot(values, weights))
    update()
    three = dict(x=normal(3, 4), first=normal(5, 4), second=normal(2, 4))
    case("frozenLayers", {"n": 3}, three, [], lambda x, first, second: [x @ first.T, x @ second.T])
    layer_norm()
    activations()
    attention(4, 2, 2, "soft cap", soft_cap=2)
    attention(4, 2, 2, "window", sliding_window_causal_mask_function(3))
    attention(4, 2, 2, "both sides", bidirectional_mask_function)
    attention(2, 2, 2, "both sides, window and soft cap", sliding_window_bidirectional_mask_function(2), soft_cap=2)
    case("rowsFrom", {"n": 6}, dict(x=normal(5, 3)), ["x"], lambda x: x[2:])
    heads_of_tasks()
    capped_loss()
    cached_attention(4, 2, 2, "soft cap", soft_cap=2)
    one_token(4, 2, 2, "one token")
    one_token(2, 2, 2, "one token, soft cap", soft_cap=2)
    rotary_part()
    magnitude_gain()
    case("splitRows", {}, dict(x=normal(3, 3)), [], lambda x: x.split([2, 1]))
    in_batch_loss()
    row_adapters()
    low_rank_loss()
    products()
    case("tableRows", {}, dict(table=normal(5, 3)), [], lambda table: table[[4, 0, 4]])
    numbers = torch.tensor([[2.0], [-1.0], [0.0], [3.0], [2.0]])
    case("oneHot", {"n": 5}, dict(x=numbers.float().numpy()), [], lambda x: (x == torch.arange(3)).double())
    past_attention(2, 2, 2, "2 heads on 2")
    past_attention(4, 2, 2, "4 heads on 2, soft cap", soft_cap=2)


if __name__ == "__main__":
    main()
    assert all(math.isfinite(v) for record in CASES.values() for output in record["outputs"] for v in output)
    folder = HERE / "ops"
    folder.mkdir(exist_ok=True)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(record)}" for name, record in CASES.items())
    (folder / "golden.json").write_text("{" + lines + "}\n")
    print(len(CASES), "cases")
