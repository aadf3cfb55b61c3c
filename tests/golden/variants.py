"""Makes the goldens of the variants of LoRA (tests/lora/variants.test.ts): what PEFT makes of each on a tiny Qwen 2.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0. On the CPU, in fp32, with fixed seeds. Run after architectures.py, whose
model in tests/golden/qwen2 it loads: its q, k and v have biases.

    python tests/golden/variants.py [NAME ...]

writes for each variant tests/golden/variants/NAME/:
- adapter/: the adapter as PEFT saves it; for those that change W converted to a plain LoRA, and as it is in raw/
- golden.safetensors: `start/` what a new adapter starts from where that is not random; `initial/` values of every trained tensor that the
  rest is computed from, random where a start would hide a part; `logits` of the first batch, `merged.logits` of the same after merging,
  `dropped.logits` where dropout zeroes every second element of what the adapter reads,
  `gradient/` of the summed loss, `final/` values after ten steps of AdamW
  `frozen/` values of what is random and not trained
- golden.json: the loss, and the losses and norms of the steps
"""

import copy
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import AdaLoraConfig, EvaConfig, LoraConfig, VeraConfig, get_peft_model, initialize_lora_eva_weights
from peft.optimizers import create_loraplus_optimizer
from peft.tuners.lora import LoraLayer
from peft.tuners.vera import VeraLayer
from peft.utils.incremental_pca import IncrementalPCA

from architectures import ARCHITECTURES, BATCHES, load_model
from make import HERE, LINEAR_NAMES, OPTIMIZERS, forward, report_gap, save_adapter, trajectory, write_golden

RANK, ALPHA = 2, 6
STEPS = 10
BASE = "qwen2"

PATTERNS = dict(
    target_modules=[name for name in LINEAR_NAMES if name != "o_proj"],
    rank_pattern={"q_proj": 4, r"layers\.0\.mlp\.down_proj": 1},
    alpha_pattern={"q_proj": 3},
)

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]

# What EVA looks at: both batches as one.
DATA = {key: torch.cat([batch[key] for batch in BATCHES]) for key in BATCHES[0]}

# config: fields of LoraConfig, or of kind; converts: W is changed, so that PEFT saves it as a plain LoRA; ratio: of LoRA+; frozen: what of an
# adapter is not trained; prunes: ranks fall during the steps; data: the start is made from the user's data.
VARIANTS = {
    "rslora": dict(config=dict(use_rslora=True)),
    "lora-plus": dict(config={}, ratio=8.0),
    "patterns": dict(config=PATTERNS),
    "pissa-patterns": dict(config=dict(init_lora_weights="pissa", **PATTERNS), converts=True),
    "lora-fa": dict(config={}, frozen="lora_A"),
    "dora": dict(config=dict(use_dora=True)),
    "dora-rslora": dict(config=dict(use_dora=True, use_rslora=True)),
    "pissa": dict(config=dict(init_lora_weights="pissa"), converts=True),
    "eva": dict(config=dict(init_lora_weights="eva", eva_config=EvaConfig(rho=2.0)), data=True),
    "eva-rslora": dict(
        config=dict(init_lora_weights="eva", use_rslora=True, eva_config=EvaConfig(rho=1.5), rank_pattern={"q_proj": 4, "o_proj": 1}),
        data=True,
    ),
    "vera": dict(kind=VeraConfig, config=dict(r=6, projection_prng_key=2**32 + 7)),
    "vera-plus": dict(kind=VeraConfig, config=dict(r=3, target_modules=["k_proj", "down_proj"]), ratio=8.0),
    "adalora": dict(
        kind=AdaLoraConfig,
        config=dict(init_r=4, target_r=2, tinit=2, tfinal=3, deltaT=2, total_step=STEPS, lora_alpha=ALPHA, orth_reg_weight=0.3),
        prunes=True,
    ),
    "olora": dict(config=dict(init_lora_weights="olora", use_rslora=True), converts=True),
    "bias": dict(config=dict(bias="all", target_modules=["q_proj", "up_proj"])),
    "bias-lora-only": dict(config=dict(bias="lora_only", target_modules=["q_proj", "up_proj"]), ratio=8.0),
    "lora-bias": dict(config=dict(lora_bias=True, use_rslora=True, target_modules=ATTENTION[:3])),
    "modules": dict(config=dict(modules_to_save=["lm_head", "model.norm", "model.layers.0.mlp.up_proj"], target_modules=ATTENTION)),
    "modules-table": dict(config=dict(modules_to_save=["model.embed_tokens"], target_modules=ATTENTION)),
    "embedding": dict(config=dict(use_rslora=True, target_modules=["q_proj", "embed_tokens"])),
    "head": dict(config=dict(target_modules=["v_proj", "lm_head"]), ratio=8.0),
    "embedding-head": dict(config=dict(target_modules=["embed_tokens", "lm_head", "down_proj"], rank_pattern={"lm_head": 3})),
    "tokens": dict(config=dict(target_modules=["q_proj", "v_proj"], trainable_token_indices=[17, 3, 5])),
    "modules-tied": dict(config=dict(modules_to_save=["lm_head"], ensure_weight_tying=True, target_modules=ATTENTION)),
}


def plain(name):
    """The name of a trained tensor as in PEFT's file, or, of a weight of the model, as in a checkpoint."""
    name = name.replace(".modules_to_save.default", "").replace(".base_layer", "")
    return name.replace(".lora_magnitude_vector.default.weight", ".lora_magnitude_vector").replace(".default", "")


def trained(model):
    """Every trained tensor, those of an embedding's adapter as [tokens, rank] and [rank, columns]."""
    found = named(model)
    return {name: value.T if "lora_embedding" in name else value for name, value in found.items()}


def named(model):
    return {plain(name): value for name, value in model.named_parameters() if value.requires_grad}


def disturb(model, seed):
    """Moves every trained tensor away from where it starts: zeros become normal numbers, the rest changes by a tenth of its size."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in trained(model).values():
            noise = torch.randn(value.shape, generator=generator)
            value.add_(0.2 * noise if value.abs().max() == 0 else 0.1 * value.std().clamp(min=0.1) * noise)


class FixedDropout(torch.nn.Module):
    """Drops every second element, as dropout with p = 0.5 might."""

    def forward(self, x):
        return x * (2 * (torch.arange(x.shape[-1]) % 2))


def with_fixed_dropout(model):
    """A copy in training, whose layers all drop the same elements."""
    changed = copy.deepcopy(model).train()
    for module in changed.modules():
        if isinstance(module, LoraLayer):
            module.lora_dropout["default"] = FixedDropout()
        if isinstance(module, VeraLayer):
            module.vera_dropout["default"] = FixedDropout()
    return changed


def untied(model):
    """A model whose head, or table, has an adapter: merging would put that into both, since they are one, as PEFT warns."""
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    if isinstance(table, LoraLayer) or isinstance(head, LoraLayer):
        layer = head.get_base_layer() if isinstance(head, LoraLayer) else head
        layer.weight = torch.nn.Parameter(layer.weight.detach().clone(), requires_grad=False)
    return model


def gradients(model, batch):
    model.zero_grad()
    forward(model, batch)["sum"].backward()
    return {name: (value.grad.T if "lora_embedding" in name else value.grad).clone() for name, value in named(model).items()}


def optimizer_of(model, ratio):
    """AdamW of architectures' trajectories, or LoRA+'s with the same settings."""
    if ratio is None:
        return OPTIMIZERS["adamw"]["make"]
    return lambda _parameters: create_loraplus_optimizer(
        model,
        torch.optim.AdamW,
        lr=5e-3,
        loraplus_lr_ratio=ratio,
        loraplus_weight_decay=0.01,
        betas=(0.9, 0.999),
        eps=1e-8,
    )


def start_from_data(model, exact=True):
    """EVA's start. Its randomised singular values (seeded, and PyTorch's own) are taken exactly here."""
    lowrank = IncrementalPCA._svd_fn_lowrank
    if exact:
        IncrementalPCA._svd_fn_lowrank = IncrementalPCA._svd_fn_full
    initialize_lora_eva_weights(model, [DATA], show_progress_bar=False)
    IncrementalPCA._svd_fn_lowrank = lowrank
    return {key.removeprefix("base_model.model.").removesuffix(".lora_A.default.weight"): value.shape[0]
            for key, value in model.named_parameters() if "lora_A" in key}


def pruning_trajectory(model, make_optimizer, steps, batches):
    """As make.trajectory, with AdaLoRA's penalty in the gradient, and pruning behind each update. Losses are those without the penalty."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(trainable)
    record = {"loss": [], "gradientNorm": [], "penalty": []}
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        batch = batches[(step - 1) % len(batches)]
        loss = model(**batch).loss
        plain = model.base_model.model(**batch).loss.item()
        loss.backward()
        record["gradientNorm"].append(torch.nn.utils.clip_grad_norm_(trainable, 1.0).item())
        optimizer.step()
        model.base_model.update_and_allocate(step)
        record["loss"].append(plain)
        record["penalty"].append(loss.item() - plain)
    return record


def make(name, plan):
    print(name)
    folder = HERE / "variants" / name
    base = load_model(BASE, ARCHITECTURES[BASE])
    torch.manual_seed(400)
    kind = plan.get("kind", LoraConfig)
    strength = dict(r=RANK, lora_alpha=ALPHA) if kind is LoraConfig else {}
    config = kind(**{**strength, **dict(target_modules=LINEAR_NAMES, task_type="CAUSAL_LM"), **plan["config"]})
    model = get_peft_model(copy.deepcopy(base), config).eval()
    if plan.get("prunes"):
        model.peft_config["default"].orth_reg_weight = 0.0  # until the steps: `forward` wants the mean loss alone
    facts = {}
    if plan.get("data"):
        rough = start_from_data(copy.deepcopy(model), exact=False)
        facts["ranks"] = start_from_data(model)
        assert rough == facts["ranks"], "the exact directions give other ranks than PEFT's own"
        assert len(set(rough.values())) > 2, "no rank has moved"
    for key, value in model.named_parameters():
        value.requires_grad_(value.requires_grad and plan.get("frozen", "nothing") not in key)
    converts = plan.get("converts", False)
    with torch.no_grad():
        change = (forward(model, BATCHES[0])["logits"] - forward(base, BATCHES[0])["logits"]).abs().max()
    assert change < 1e-4, f"a new {name} changes the logits by {change}"

    tensors = {}
    for key, value in trained(model).items():
        if converts or plan.get("data") or not any(random in key for random in ("lora_A", "lora_B", "lora_embedding_B")):
            tensors[f"start/{key}"] = value.clone()
    start = folder.parent / "start"
    if converts:
        model.peft_config["default"].init_lora_weights = True  # else W is changed again when the start is read back
        model.save_pretrained(start, save_embedding_layers=False)
    disturb(model, 401)
    for key, value in model.named_parameters():
        if plan.get("frozen", "nothing") in key:
            tensors[f"frozen/{plain(key)}"] = value.clone()
    for key, value in trained(model).items():
        tensors[f"initial/{key}"] = value.clone()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if converts:
        model.peft_config["default"].init_lora_weights = plan["config"]["init_lora_weights"]
        save_adapter(model, folder / "raw")
        before = forward(model, BATCHES[0])["logits"]
        model.save_pretrained(folder / "adapter", save_embedding_layers=False, path_initial_model_for_weight_conversion=str(start))
        (folder / "adapter" / "README.md").unlink()
        shutil.rmtree(start)
        assert torch.equal(forward(model, BATCHES[0])["logits"], before), "saving has changed the model"
    elif plan.get("prunes"):
        model.peft_config["default"].orth_reg_weight = plan["config"]["orth_reg_weight"]
        save_adapter(model, folder / "adapter")
        model.peft_config["default"].orth_reg_weight = 0.0
    else:
        save_adapter(model, folder / "adapter")
    report_gap(name, model, BATCHES[0])
    with torch.no_grad():
        out = forward(model, BATCHES[0])
        tensors["logits"] = out["logits"]
        tensors["merged.logits"] = forward(untied(copy.deepcopy(model)).merge_and_unload(), BATCHES[0])["logits"]
        tensors["dropped.logits"] = forward(with_fixed_dropout(model), BATCHES[0])["logits"]
    assert (tensors["logits"] - tensors["merged.logits"]).abs().max() < 1e-3
    for key, value in gradients(model, BATCHES[0]).items():
        tensors[f"gradient/{key}"] = value
    facts |= {key: float(out[key]) for key in ("sum", "count")}
    train = trajectory
    if plan.get("prunes"):
        train = pruning_trajectory
        model.peft_config["default"].orth_reg_weight = plan["config"]["orth_reg_weight"]
    facts["steps"] = train(model, optimizer_of(model, plan.get("ratio")), STEPS, BATCHES)
    for key, value in trained(model).items():
        tensors[f"final/{key}"] = value
    if plan.get("prunes"):
        ranks = [int((value != 0).sum()) for key, value in trained(model).items() if "lora_E" in key]
        assert min(ranks) < 2 < max(ranks) and sum(ranks) == 2 * len(ranks), ranks
        print(f"  ranks left: {ranks}")
        save_adapter(model, folder / "pruned")
        model.peft_config["default"].orth_reg_weight = 0.0
        tensors["pruned.logits"] = forward(model, BATCHES[0])["logits"].detach()
    write_golden(folder, tensors, facts)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def make_tied():
    """Adapters of a table and of the head that is tied to it, tied too: PEFT saves both, and the frozen table twice."""
    print(TIED)
    folder = HERE / "variants" / TIED
    base = load_model(BASE, ARCHITECTURES[BASE])
    torch.manual_seed(402)
    fields = dict(target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True, task_type="CAUSAL_LM")
    model = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=ALPHA, **fields)).eval()
    disturb(model, 403)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()
    with torch.no_grad():
        write_golden(folder, {"logits": forward(model, BATCHES[0])["logits"]}, {})


def make_full():
    """The model itself, every weight of which is trained: no PEFT. Of what training makes of a tensor, the first values are kept."""
    print(FULL)
    folder = HERE / "variants" / FULL
    model = load_model(BASE, ARCHITECTURES[BASE]).eval()
    out = forward(model, BATCHES[0])
    out["sum"].backward()
    tensors = {f"gradient/{key}": value.grad.clone() for key, value in model.named_parameters()}
    facts = {key: float(out[key]) for key in ("sum", "count")}
    facts["steps"] = trajectory(model, OPTIMIZERS["adamw"]["make"], STEPS, BATCHES)
    for key, value in model.named_parameters():
        tensors[f"final/{key}"] = value.detach().flatten()[:64].clone()
    with torch.no_grad():
        tensors["final.logits"] = forward(model, BATCHES[0])["logits"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_golden(folder, tensors, facts)


FULL = "full"
TIED = "embedding-tied"
MAKERS = {FULL: make_full, TIED: make_tied}

if __name__ == "__main__":
    torch.set_num_threads(1)
    for variant in sys.argv[1:] or [*VARIANTS, *MAKERS]:
        MAKERS[variant]() if variant in MAKERS else make(variant, VARIANTS[variant])
