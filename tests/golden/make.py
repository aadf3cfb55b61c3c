"""Makes the goldens of the two tiny Llamas: logits, losses, gradients, trajectories, schedules, generation.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0 gguf==0.19.0. On the CPU, in fp32, with fixed seeds.

    python tests/golden/make.py

writes tests/golden/tiny-llama/ and tests/golden/tiny-llama3/ (see README.md there) and prints, for each, how far
fp32 lies from the same computation in fp64: a test's tolerance must be wider than that. A second run writes the same
bytes, but for the order of `target_modules` (a set) in the adapters' configurations.

Spellings of the rotary configuration. transformers 5 writes one object `rope_parameters` that also holds
`rope_theta`; transformers 4 wrote `rope_theta` beside `rope_scaling` (null when there is no scaling; in the oldest
files its kind is `type` instead of `rope_type`), and `torch_dtype` for `dtype`. A reader must take both:
config.json is the new one, config.transformers4.json beside it the old one of the same model.
"""

import copy
import json
import os
import shutil
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).resolve().parent
LINEAR_NAMES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANK, ALPHA = 4, 8
VOCABULARY = 96
IGNORED = -100

SHARED = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    vocab_size=VOCABULARY,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
)
MODELS = {
    "tiny-llama": dict(
        config=dict(
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=128,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
        dtype=torch.float32,
        shard="10MB",
        seed=11,
    ),
    "tiny-llama3": dict(
        config=dict(
            num_key_value_heads=1,
            head_dim=16,  # not hidden_size / heads
            max_position_embeddings=256,
            tie_word_embeddings=False,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        ),
        dtype=torch.bfloat16,
        shard="40KB",
        seed=12,
    ),
}


def save_model(name, plan):
    """Saves a seeded model and loads it again in fp32, so that BF16 storage has rounded the weights."""
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    config = LlamaConfig(**SHARED, **plan["config"])
    config._attn_implementation = "eager"
    model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(plan["seed"])
    with torch.no_grad():
        for key, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + 0.2 * noise if "norm" in key else 0.25 * noise)
    model.to(plan["dtype"]).save_pretrained(folder, max_shard_size=plan["shard"])
    write_transformers4_config(folder)
    return load_model(name)


def load_model(name):
    model = LlamaForCausalLM.from_pretrained(HERE / name, dtype=torch.float32, attn_implementation="eager")
    model.name_or_path = model.config._name_or_path = name
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model.eval()


def write_transformers4_config(folder):
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.57.0"
    path = folder / "config.transformers4.json"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    new, old = LlamaConfig.from_pretrained(folder), LlamaConfig.from_dict(config)
    assert new.rope_parameters == old.rope_parameters, (new.rope_parameters, old.rope_parameters)


def make_batch(seed, lengths, prompts):
    """Right-padded rows; labels as transformers wants them: unshifted, -100 on prompt and padding."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    ids = torch.randint(3, VOCABULARY, shape, generator=generator)
    mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED)
    for row, (length, prompt) in enumerate(zip(lengths, prompts)):
        ids[row, length:] = 0
        mask[row, :length] = 1
        labels[row, prompt:length] = ids[row, prompt:length]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


BATCHES = [make_batch(101, [12, 9], [4, 3]), make_batch(102, [9, 6, 7], [2, 3, 1])]


def forward(model, batch):
    """Logits (zero on padding), nll[b, t] of the token at t + 1 (zero where it is not supervised), sum, count, mean."""
    out = model(**batch)
    labels = torch.nn.functional.pad(batch["labels"], (0, 1), value=IGNORED)[:, 1:]
    nll = torch.nn.functional.cross_entropy(out.logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    count = int((labels != IGNORED).sum())
    total = nll.sum()
    assert abs(out.loss.item() - total.item() / count) < 1e-5
    logits = out.logits * batch["attention_mask"].unsqueeze(-1)
    return {"logits": logits, "nll": nll, "sum": total, "count": count, "mean": out.loss}


def gradients_of_sum(model, batch, wanted):
    model.zero_grad()
    forward(model, batch)["sum"].backward()
    return {plain_name(n): p.grad.clone() for n, p in model.named_parameters() if p.requires_grad and wanted(n)}


def plain_name(name):
    """The name of an adapter's tensor as in its file: PEFT leaves the adapter's own name ("default") out there."""
    return name.replace(".default.", ".")


def lora(model, **overrides):
    options = dict(r=RANK, lora_alpha=ALPHA, target_modules=LINEAR_NAMES, task_type="CAUSAL_LM", init_lora_weights="gaussian")
    return get_peft_model(model, LoraConfig(**{**options, **overrides})).eval()


def randomise_b(model, seed, deviation=0.2):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(deviation * torch.randn(weight.shape, generator=generator))


def adapter_state(model):
    return {name: value.detach().clone() for name, value in get_peft_model_state_dict(model, save_embedding_layers=False).items()}


def save_adapter(model, folder):
    """Saves as PEFT does, without its model card, which is a form to fill in."""
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()


def trajectory(model, make_optimizer, steps, batches):
    """Trains on alternating batches: clip the gradient of the mean loss to norm 1, then step. Norms are before clipping."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(trainable)
    losses, norms = [], []
    for step in range(steps):
        optimizer.zero_grad()
        loss = model(**batches[step % len(batches)]).loss
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trainable, 1.0).item())
        optimizer.step()
        losses.append(loss.item())
    return {"loss": losses, "gradientNorm": norms}


OPTIMIZERS = {
    "adamw": dict(
        make=lambda p: torch.optim.AdamW(p, lr=5e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
        steps=30,
        options={"learningRate": 5e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": 0.01, "clip": 1.0},
    ),
    "sgd": dict(
        make=lambda p: torch.optim.SGD(p, lr=5e-2, momentum=0.9),
        steps=10,
        options={"learningRate": 5e-2, "momentum": 0.9, "weightDecay": 0.0, "clip": 1.0},
    ),
}


def run_trajectories(base, seed, tensors, facts):
    """Each optimizer from the same A and B; the initial matrices are stored once."""
    torch.manual_seed(seed)
    start = lora(copy.deepcopy(base))
    for name, value in adapter_state(start).items():
        tensors[f"trajectory.initial/{name}"] = value
    for name, plan in OPTIMIZERS.items():
        model = copy.deepcopy(start)
        record = trajectory(model, plan["make"], plan["steps"], BATCHES)
        for key, value in adapter_state(model).items():
            tensors[f"trajectory.{name}.final/{key}"] = value
        facts[name] = {"options": plan["options"], "steps": plan["steps"], **record}
        exact = trajectory(copy.deepcopy(start).double(), plan["make"], plan["steps"], BATCHES)
        gap = max(abs(a - b) for a, b in zip(record["loss"], exact["loss"]))
        print(f"  {name}: loss {record['loss'][0]:.4f} -> {record['loss'][-1]:.4f}, fp32 against fp64 {gap:.1e}")


def generate(model, prompt, tensors, key):
    """Greedy, with the key-value cache; the smallest lead of the winner says how safe a comparison of ids is."""
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=12,
        do_sample=False,
        use_cache=True,
        output_logits=True,
        return_dict_in_generate=True,
    )
    logits = torch.cat(out.logits)  # [12, V]
    tensors[key] = logits
    best = logits.topk(2).values
    return {"ids": out.sequences[0, len(prompt) :].tolist(), "smallestLead": (best[:, 0] - best[:, 1]).min().item()}


def schedules():
    """The factor of the learning rate in step 0, 1, … of 40, four of them warm-up."""
    made = {
        "constant": lambda o: transformers.get_constant_schedule_with_warmup(o, 4),
        "linear": lambda o: transformers.get_linear_schedule_with_warmup(o, 4, 40),
        "cosine": lambda o: transformers.get_cosine_schedule_with_warmup(o, 4, 40),
    }
    factors = {}
    for name, make in made.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = make(optimizer)
        factors[name] = []
        for _ in range(40):
            factors[name].append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
    return {"steps": 40, "warmupSteps": 4, "factors": factors}


def report_gap(label, model, batch):
    """Prints the largest relative difference of a gradient in fp32 from fp64, tensor by tensor."""
    single = gradients_of_sum(model, batch, lambda n: True)
    double = gradients_of_sum(copy.deepcopy(model).double(), batch, lambda n: True)
    gap = max(((single[n] - double[n]).norm() / double[n].norm()).item() for n in double)
    smallest = min(g.norm().item() for g in double.values())
    print(f"  {label}: gradients, fp32 against fp64 {gap:.1e}; smallest norm {smallest:.3f}")


def store_forward(prefix, model, tensors, facts):
    with torch.no_grad():
        result = forward(model, BATCHES[0])
    tensors[f"{prefix}.logits"] = result["logits"]
    tensors[f"{prefix}.nll"] = result["nll"]
    facts[prefix] = {"sum": result["sum"].item(), "count": result["count"], "mean": result["mean"].item()}


def make(name, plan):
    print(name)
    base = save_model(name, plan)
    tensors, facts = {}, {"batches": [{k: v.tolist() for k, v in b.items()} for b in BATCHES]}

    store_forward("base", base, tensors, facts)
    for key, value in gradients_of_sum(base, BATCHES[0], lambda n: True).items():
        tensors[f"base.gradient/{key}"] = value
    report_gap("base", base, BATCHES[0])

    torch.manual_seed(plan["seed"] + 1)
    adapted = lora(copy.deepcopy(base))
    randomise_b(adapted, plan["seed"] + 2)
    save_adapter(adapted, HERE / name / "adapter")
    store_forward("adapted", adapted, tensors, facts)
    for key, value in gradients_of_sum(adapted, BATCHES[0], lambda n: "lora_" in n).items():
        tensors[f"adapted.gradient/{key}"] = value
    report_gap("adapter", adapted, BATCHES[0])

    prompt = [1, 17, 42, 8, 63]
    facts["generation"] = {
        "prompt": prompt,
        "base": generate(base, prompt, tensors, "base.generation.logits"),
        "adapted": generate(adapted, prompt, tensors, "adapted.generation.logits"),
    }
    facts["trajectories"] = {}
    run_trajectories(base, plan["seed"] + 3, tensors, facts["trajectories"])
    facts["schedules"] = schedules()
    write_golden(HERE / name, tensors, facts)


def write_golden(folder, tensors, facts):
    contiguous = {key: value.detach().float().contiguous().clone() for key, value in tensors.items()}
    save_file(contiguous, folder / "golden.safetensors", metadata={"format": "pt"})
    (folder / "golden.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for model_name, model_plan in MODELS.items():
        make(model_name, model_plan)
