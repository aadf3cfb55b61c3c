"""Makes the goldens of the contract that every encoder keeps (tests/models/encoder-contract.test.ts).

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0. On the CPU, in fp32, with fixed seeds.

    python tests/golden/encoders.py [NAME ...]

writes a folder tests/golden/NAME/ for each encoder named, or for all: a tiny seeded model with its head for sequence
classification, stored in BF16 and computed in fp32 from the rounded weights, and for both tasks, sequence and token
classification, an adapter on all linear layers with the head trained beside it, and what transformers and PEFT make of them
(README.md says what stands where). It fails where a part of the model could be left out unnoticed; see architectures.py.
"""

import copy
import shutil
import sys

import torch
import transformers
from peft import LoraConfig, get_peft_model

from contract import ALPHA, NOTICED, RANK, STEPS, padded_left, plain_vectors, randomise, relative
from make import HERE, IGNORED, VOCABULARY, adapter_state, plain_name, randomise_b, save_adapter, write_golden

LABELS = 3

# Behind a norm and a tanh some gradients are next to nothing; a larger epsilon keeps AdamW from making steps of their rounding.
ADAMW = {"learningRate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-4, "weightDecay": 0.01, "clip": 1.0}

SIZES = dict(
    vocab_size=VOCABULARY,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=64,
    num_labels=LABELS,
)

# model: the beginning of the classes' names in transformers; without: configurations that each leave out a part; types: the model
# reads the types of tokens; positions: those of padded texts are given, where the model does not count them itself.
ENCODERS = {
    "bert": dict(model="Bert", config=dict(**SIZES, pad_token_id=0, type_vocab_size=2), seed=400, types=True),
    "roberta": dict(model="Roberta", config=dict(**SIZES, pad_token_id=1, type_vocab_size=1), seed=410),
    "modernbert": dict(
        model="ModernBert",
        config=dict(
            **{**SIZES, "num_hidden_layers": 4},
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            cls_token_id=1,
            sep_token_id=2,
            local_attention=8,
            global_attn_every_n_layers=3,
            classifier_pooling="mean",
        ),
        seed=420,
        without={"window": dict(local_attention=64), "mean": dict(classifier_pooling="cls")},
        # Its four blocks are steep with larger ones: 8 bits would turn the gradient.
        matrix=0.18,
        adapter=0.1,
    ),
}


def make_batch(seed, lengths):
    """Right-padded rows; a label for each text, and one for some of its tokens; the second half of a text is of type 1."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    places = torch.arange(shape[1])
    real = places < torch.tensor(lengths)[:, None]
    ids = torch.randint(3, VOCABULARY, shape, generator=generator)
    words = torch.randint(0, LABELS, shape, generator=generator)
    taught = real & (torch.rand(shape, generator=generator) < 0.6)
    return {
        "input_ids": ids * real,
        "attention_mask": real.long(),
        "token_type_ids": ((places >= torch.tensor(lengths)[:, None] // 2) & real).long(),
        "sequenceLabels": torch.randint(0, LABELS, shape[:1], generator=generator),
        "tokenLabels": torch.where(taught, words, IGNORED),
    }


BATCHES = [make_batch(401, [16, 11]), make_batch(402, [12, 16, 7])]


class Task:
    """One task of one model, its padding as the model reads it."""

    def __init__(self, plan, task):
        self.plan, self.task = plan, task
        self.kind = getattr(transformers, f"{plan['model']}For{task.capitalize()}Classification")

    def inputs(self, batch):
        real = batch["attention_mask"]
        pad = self.plan["config"]["pad_token_id"]
        positions = (real.cumsum(-1) - 1).clamp(min=0)
        first = pad + 1 if self.plan["model"] == "Roberta" else 0
        types = {"token_type_ids": batch["token_type_ids"]} if self.plan.get("types") else {}
        ids = torch.where(real == 1, batch["input_ids"], pad)
        return {"input_ids": ids, "attention_mask": real, "position_ids": positions + first, **types}

    def labels(self, batch):
        return batch[f"{self.task}Labels"]

    def logits(self, model, batch):
        """[B, L], or of the labelled tokens, one after the other [S, L]."""
        found = model(**self.inputs(batch)).logits
        return found if self.task == "sequence" else found[self.labels(batch) != IGNORED]

    def loss(self, model, batch, reduction="mean"):
        labels = self.labels(batch)
        return torch.nn.functional.cross_entropy(self.logits(model, batch), labels[labels != IGNORED], reduction=reduction)


def left_padded(batch):
    """The same texts with their padding in front."""
    turned = padded_left({key: value for key, value in batch.items() if value.ndim == 2})
    return {**batch, **turned}


def states_of(task, model, batch):
    """Hidden states of the real tokens, one after the other [N, C]."""
    return model.base_model(**task.inputs(batch)).last_hidden_state[batch["attention_mask"] == 1]


def save_model(name, plan):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    kind = Task(plan, "sequence").kind
    model = kind(kind.config_class(**plan["config"]))
    randomise(model, plan["seed"], matrix=plan.get("matrix", 0.25))
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if key.endswith("query.bias"):
                weight.mul_(12)  # its effect on the scores is small, since the states are normed
    model.to(torch.bfloat16).save_pretrained(folder)


def load_model(name, plan, task, **changes):
    """The saved model in fp32, its configuration changed, with a head of its own for token classification."""
    kind = Task(plan, task).kind
    config = kind.config_class(**{**plan["config"], **changes})
    model = kind.from_pretrained(HERE / name, config=config, dtype=torch.float32, attn_implementation="eager")
    model.name_or_path = model.config._name_or_path = name
    return model.eval()


@torch.no_grad()
def check_parts(name, plan, base):
    """Every part that could be left out must change the labels' scores so much that int8 cannot hide it."""
    task = Task(plan, "sequence")
    want = task.logits(base, BATCHES[0])
    changed = {f"without {part}": load_model(name, plan, "sequence", **change) for part, change in plan.get("without", {}).items()}
    changed.update(plain_vectors(base))
    for part, model in changed.items():
        change = relative(task.logits(model, BATCHES[0]), want)
        print(f"  {part}: {change:.2f}")
        # The softmax of attention does not see the bias of k.
        assert change > NOTICED or part == "plain key.bias", f"{name} {part} changes the logits by {change} only"


def layers_of(model):
    """What PEFT's "all-linear" means: for token classification PEFT 0.21 refuses it, since it does not leave the head out."""
    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    return [name for name in names if not name.startswith("classifier")]


def adapted_model(name, plan, base, task, seed):
    torch.manual_seed(seed)
    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        target_modules="all-linear" if task == "sequence" else layers_of(base),
        task_type="SEQ_CLS" if task == "sequence" else "TOKEN_CLS",
        init_lora_weights="gaussian",
    )
    model = get_peft_model(copy.deepcopy(base), config).eval()
    randomise_b(model, seed + 1, plan.get("adapter", 0.2))
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "modules_to_save" in key:
                weight.add_(0.1 * torch.randn(weight.shape))
    save_adapter(model, HERE / name / f"{task}-adapter")
    return model


def file_name(key):
    return plain_name(key).replace(".modules_to_save", "")


def gradients(task, model):
    model.zero_grad()
    task.loss(model, BATCHES[0], "sum").backward()
    return {file_name(key): weight.grad.clone() for key, weight in model.named_parameters() if weight.requires_grad}


def trajectory(task, model):
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    rate, betas, decay = ADAMW["learningRate"], (ADAMW["beta1"], ADAMW["beta2"]), ADAMW["weightDecay"]
    optimizer = torch.optim.AdamW(trainable, lr=rate, betas=betas, eps=ADAMW["epsilon"], weight_decay=decay)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = task.loss(model, BATCHES[step % len(BATCHES)])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trainable, ADAMW["clip"]).item())
        optimizer.step()
        losses.append(loss.item())
    return {"loss": losses, "gradientNorm": norms}


def make_task(name, plan, kind, tensors):
    task = Task(plan, kind)
    base = load_model(name, plan, kind)
    model = adapted_model(name, plan, base, kind, plan["seed"] + (1 if kind == "sequence" else 5))
    left = left_padded(BATCHES[0])
    with torch.no_grad():
        gap = relative(task.logits(model, left), task.logits(model, BATCHES[0]))
        # A head on the first token reads padding there, where the text begins later; the model's states do not change.
        reads_first = kind == "sequence" and plan["config"].get("classifier_pooling") != "mean"
        assert reads_first or gap < 1e-5, f"padding on the left changes the scores by {gap}"
        tensors[f"{kind}.logits"] = task.logits(model, BATCHES[0])
        loss = task.loss(model, BATCHES[0], "sum").item()
    for key, value in gradients(task, model).items():
        tensors[f"{kind}.gradient/{key}"] = value
    exact = copy.deepcopy(model).double()
    facts = {"sum": loss, "trajectory": {"options": ADAMW, **trajectory(task, model)}}
    trajectory(task, exact)
    want = adapter_state(exact)
    for key, value in adapter_state(model).items():
        tensors[f"{kind}.final/{key}"] = value
        gap = relative(value.double(), want[key])
        # ModernBERT takes the softmax in fp32 always: of masked scores in fp64 it makes NaN.
        assert gap < 5e-5 or plan["model"] == "ModernBert", f"{key}: ten steps in fp32 end {gap} away from those in fp64"
    return facts


def make_embedding(name, plan, tensors):
    """An adapter beside the bare model, as sentence-transformers trains it: its names lack the prefix of a model with a head."""
    base = transformers.AutoModel.from_pretrained(HERE / name, dtype=torch.float32, attn_implementation="eager").eval()
    base.name_or_path = base.config._name_or_path = name
    torch.manual_seed(plan["seed"] + 8)
    config = LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="FEATURE_EXTRACTION", init_lora_weights="gaussian"
    )
    model = get_peft_model(base, config).eval()
    randomise_b(model, plan["seed"] + 9, plan.get("adapter", 0.2))
    save_adapter(model, HERE / name / "embedding-adapter")
    batch = BATCHES[0]
    real = batch["attention_mask"].unsqueeze(-1)
    with torch.no_grad():
        states = model(**Task(plan, "sequence").inputs(batch)).last_hidden_state
    tensors["embedding.mean"] = torch.nn.functional.normalize((states * real).sum(1) / real.sum(1))


def make(name, plan):
    print(name)
    save_model(name, plan)
    base = load_model(name, plan, "sequence")
    check_parts(name, plan, base)
    task = Task(plan, "sequence")
    left = left_padded(BATCHES[0])
    with torch.no_grad():
        states = states_of(task, base, BATCHES[0])
        gap = relative(states_of(task, base, left), states)
    assert gap < 1e-5, f"padding on the left changes the hidden states by {gap}"
    tensors = {"hidden": states}
    facts = {
        "batches": [{key: value.tolist() for key, value in batch.items()} for batch in BATCHES],
        "paddedLeft": {key: value.tolist() for key, value in left.items()},
        **{kind: make_task(name, plan, kind, tensors) for kind in ("sequence", "token")},
    }
    make_embedding(name, plan, tensors)
    write_golden(HERE / name, tensors, facts)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for encoder in sys.argv[1:] or ENCODERS:
        make(encoder, ENCODERS[encoder])
