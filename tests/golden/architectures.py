"""Makes the goldens of the contract that every architecture keeps (tests/models/contract.test.ts).

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0. On the CPU, in fp32, with fixed seeds.

    python tests/golden/architectures.py [NAME ...]

writes a folder tests/golden/NAME/ for each architecture named, or for all: a tiny seeded model, stored in BF16 and computed in
fp32 from the rounded weights, an adapter on all linear layers, and what transformers and PEFT make of them (README.md says what
stands where). It fails where a part of the model could be left out unnoticed: each bias and gain, and each setting listed under
`without`, must change the logits by far more than int8 does; and where padding on the left changes the logits of a text.
"""

import copy
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from peft import LoraConfig, get_peft_model

from contract import ALPHA, NOTICED, RANK, STEPS, padded_left, plain_vectors, randomise, relative
from make import (
    HERE,
    OPTIMIZERS,
    VOCABULARY,
    adapter_state,
    forward,
    gradients_of_sum,
    make_batch,
    randomise_b,
    save_adapter,
    trajectory,
    write_golden,
)

# The same for parts that change less.
NOTICED_IN_FLOAT32 = 0.01

# Texts are longer than every window, and of unequal lengths.
BATCHES = [make_batch(201, [16, 11], [4, 2]), make_batch(202, [12, 16, 7], [3, 5, 1])]

SIZES = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    bos_token_id=1,
    eos_token_id=2,
)

# Standard deviations at which rounding to 8 bits changes little: the adapter is weaker than the layers that it sits at.
CALM = dict(deviations=dict(matrix=0.2, gain=0.5, bias=1.0), adapter=0.1)

GEMMA3_ROPE = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1000.0},
}

# model: the class in transformers; config: its configuration; seed; without: configurations that each leave out a part;
# short: texts of at most so many tokens are a golden of their own;
# slight: those of parts that change less, so that tests in float32 alone would notice.
ARCHITECTURES = {
    "llama": dict(
        model="LlamaForCausalLM",
        config=dict(**SIZES, rms_norm_eps=1e-5, head_dim=16, tie_word_embeddings=True),
        **CALM,
        seed=300,
    ),
    "mistral": dict(
        model="MistralForCausalLM",
        config=dict(**SIZES, sliding_window=5, tie_word_embeddings=False),
        without={"window": dict(sliding_window=None), "the right window": dict(sliding_window=4)},
        **CALM,
        seed=330,
    ),
    "qwen2-window": dict(
        model="Qwen2ForCausalLM",
        config=dict(**{**SIZES, "num_hidden_layers": 3}, use_sliding_window=True, sliding_window=4, max_window_layers=1),
        without={"window": dict(use_sliding_window=False), "a block of full sight": dict(max_window_layers=0)},
        **CALM,
        seed=343,
    ),
    "smollm3": dict(
        model="SmolLM3ForCausalLM",
        config=dict(
            **{**SIZES, "num_hidden_layers": 3},
            pad_token_id=0,
            no_rope_layers=[1, 0, 1],
            use_sliding_window=True,
            sliding_window=6,
        ),
        without={"window": dict(use_sliding_window=False), "a block without positions": dict(no_rope_layers=[1, 1, 1])},
        **CALM,
        seed=355,
    ),
    "qwen3-yarn": dict(
        model="Qwen3ForCausalLM",
        config=dict(
            **{**SIZES, "num_hidden_layers": 3},
            head_dim=16,
            rope_parameters=dict(rope_type="yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=16),
            use_sliding_window=True,
            sliding_window=5,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        without={"stretching": dict(rope_parameters=dict(rope_type="default", rope_theta=100.0))},
        **CALM,
        seed=360,
    ),
    "phi3": dict(
        model="Phi3ForCausalLM",
        config=dict(
            **SIZES,
            pad_token_id=0,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.75),
            sliding_window=6,
        ),
        without={
            "window": dict(sliding_window=None),
            "values that do not turn": dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
        },
        **CALM,
        seed=370,
    ),
    "phi3-long": dict(
        model="Phi3ForCausalLM",
        config=dict(
            **SIZES,
            pad_token_id=0,
            original_max_position_embeddings=6,
            rope_parameters=dict(
                rope_type="longrope", rope_theta=100.0, short_factor=[1.0, 1.3, 2.0, 3.0], long_factor=[2.0, 3.0, 6.0, 9.0]
            ),
        ),
        without={"stretching": dict(rope_parameters=dict(rope_type="default", rope_theta=100.0))},
        short=6,
        **CALM,
        seed=380,
    ),
    "qwen3": dict(
        model="Qwen3ForCausalLM",
        config=dict(**SIZES, head_dim=16, tie_word_embeddings=False, attention_bias=True),
        **CALM,
        seed=320,
    ),
    "qwen2": dict(
        model="Qwen2ForCausalLM",
        config=dict(**SIZES, tie_word_embeddings=True),
        **CALM,
        seed=310,
    ),
    "gpt2": dict(
        model="GPT2LMHeadModel",
        config=dict(
            vocab_size=VOCABULARY,
            n_embd=32,
            n_inner=48,
            n_layer=2,
            n_head=4,
            n_positions=64,
            bos_token_id=1,
            eos_token_id=2,
            scale_attn_by_inverse_layer_idx=True,
        ),
        without={"the scale of scores": dict(scale_attn_weights=False)},
        slight={"the scale by the block's number": dict(scale_attn_by_inverse_layer_idx=False)},
        seed=320,
    ),
    "gemma2": dict(
        model="Gemma2ForCausalLM",
        config=dict(
            **SIZES,
            head_dim=16,
            query_pre_attn_scalar=4,
            sliding_window=6,
            attn_logit_softcapping=3.0,
            final_logit_softcapping=4.0,
        ),
        without={
            "the scale of scores": dict(query_pre_attn_scalar=16),
            "the cap of scores": dict(attn_logit_softcapping=None),
            "the cap of logits": dict(final_logit_softcapping=None),
            "the windows": dict(sliding_window=64),
            "the right window": dict(sliding_window=5),
        },
        **CALM,
        seed=410,
    ),
    "gemma3_text": dict(
        model="Gemma3ForCausalLM",
        config=dict(
            **SIZES,
            head_dim=16,
            query_pre_attn_scalar=4,
            sliding_window=6,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters=GEMMA3_ROPE,
        ),
        without={
            "the scale of scores": dict(query_pre_attn_scalar=16),
            "the windows": dict(sliding_window=64),
            "the right window": dict(sliding_window=5),
            "frequencies of windows": dict(rope_parameters={**GEMMA3_ROPE, "sliding_attention": GEMMA3_ROPE["full_attention"]}),
            "frequencies beyond windows": dict(rope_parameters={**GEMMA3_ROPE, "full_attention": GEMMA3_ROPE["sliding_attention"]}),
        },
        **CALM,
        seed=420,
    ),
}


def save_model(name, plan):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    kind = getattr(transformers, plan["model"])
    model = kind(kind.config_class(**plan["config"]))
    randomise(model, plan["seed"], **plan.get("deviations", {}))
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return load_model(name, plan)


def load_model(name, plan, **changes):
    """The saved model in fp32, its configuration changed."""
    kind = getattr(transformers, plan["model"])
    config = kind.config_class(**{**plan["config"], **changes})
    model = kind.from_pretrained(HERE / name, config=config, dtype=torch.float32, attn_implementation="eager")
    model.name_or_path = model.config._name_or_path = name
    return model.eval()


@torch.no_grad()
def logits_of(model, batch):
    """Logits of the real tokens, one after the other [N, V]."""
    return forward(model, batch)["logits"][batch["attention_mask"] == 1]


def check_parts(name, plan, base):
    """Every part that could be left out must change the logits so much that int8 cannot hide it."""
    want = logits_of(base, BATCHES[0])
    parts = {**plan.get("without", {}), **plan.get("slight", {})}
    changed = {f"without {part}": load_model(name, plan, **change) for part, change in parts.items()}
    changed.update(plain_vectors(base))
    for part, model in changed.items():
        change = relative(logits_of(model, BATCHES[0]), want)
        print(f"  {part}: {change:.2f}")
        least = NOTICED_IN_FLOAT32 if part.removeprefix("without ") in plan.get("slight", {}) else NOTICED
        assert change > least, f"{name} {part} changes the logits by {change} only"


def report_gap(model):
    """Prints how far the gradients of the padded batch lie from those of each text alone in fp64, tensor by tensor."""
    wanted = lambda name: "lora_" in name
    single = gradients_of_sum(model, BATCHES[0], wanted)
    exact = copy.deepcopy(model).double()
    double = {name: torch.zeros_like(value, dtype=torch.double) for name, value in single.items()}
    for row, real in enumerate(BATCHES[0]["attention_mask"].sum(-1)):
        text = {key: value[row : row + 1, :real] for key, value in BATCHES[0].items()}
        for name, gradient in gradients_of_sum(exact, text, wanted).items():
            double[name] += gradient
    gap = max(relative(single[name].double(), double[name]) for name in double)
    print(f"  gradients, fp32 against fp64: {gap:.1e}; smallest norm {min(g.norm().item() for g in double.values()):.3f}")


def adapted_model(name, base, seed, deviation=0.2):
    torch.manual_seed(seed)
    config = LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights="gaussian"
    )
    model = get_peft_model(copy.deepcopy(base), config).eval()
    randomise_b(model, seed + 1, deviation)
    save_adapter(model, HERE / name / "adapter")
    return model


def short_texts(model, longest, tensors):
    """A batch of texts of at most so many tokens: its loss and gradients; and the logits of a text at each length up to the double."""
    batch = make_batch(203, [longest, longest - 2], [2, 1])
    for key, value in gradients_of_sum(model, batch, lambda n: "lora_" in n).items():
        tensors[f"short.gradient/{key}"] = value
    ids = BATCHES[0]["input_ids"][:1, : 2 * longest]
    with torch.no_grad():
        tensors["short.growing"] = torch.stack([model(ids[:, :length]).logits[0, -1] for length in range(1, 2 * longest + 1)])
        total = forward(model, batch)["sum"].item()
    return {"batch": {key: value.tolist() for key, value in batch.items()}, "sum": total, "ids": ids[0].tolist()}


def make(name, plan):
    print(name)
    base = save_model(name, plan)
    check_parts(name, plan, base)
    model = adapted_model(name, base, plan["seed"] + 1, plan.get("adapter", 0.2))
    report_gap(model)
    with torch.no_grad():
        plain, adapted = forward(base, BATCHES[0]), forward(model, BATCHES[0])
    left = padded_left(BATCHES[0])
    gap = relative(logits_of(model, left), logits_of(model, BATCHES[0]))
    assert gap < 1e-5, f"padding on the left changes the logits by {gap}"

    tensors = {"base.logits": plain["logits"], "adapted.logits": adapted["logits"]}
    for key, value in gradients_of_sum(model, BATCHES[0], lambda n: "lora_" in n).items():
        tensors[f"adapted.gradient/{key}"] = value
    facts = {
        "batches": [{key: value.tolist() for key, value in batch.items()} for batch in BATCHES],
        "paddedLeft": {key: value.tolist() for key, value in left.items()},
        "adapted": {key: float(adapted[key]) for key in ("sum", "count")},
    }
    if "short" in plan:
        facts["short"] = short_texts(model, plan["short"], tensors)
    adamw = OPTIMIZERS["adamw"]
    facts["trajectory"] = {"options": adamw["options"], **trajectory(model, adamw["make"], STEPS, BATCHES)}
    for key, value in adapter_state(model).items():
        tensors[f"trajectory.final/{key}"] = value
    write_golden(HERE / name, tensors, facts)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for architecture in sys.argv[1:] or ARCHITECTURES:
        make(architecture, ARCHITECTURES[architecture])
