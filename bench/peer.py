"""The peer's side: PEFT on PyTorch, on the CPU, trains on the batches of a file from an adapter's folder.

Prints what ours.ts prints: a JSON line {"loss", "seconds"} a step, then {"peakBytes", "peakOf"}. A batch's labels are
not shifted (transformers does that) and hold -100 where a token is not learned.
"""

import argparse
import json
import math
import os
import time

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def read_arguments():
    parser = argparse.ArgumentParser()
    for name in ("model", "adapter", "batches"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--precision", choices=PRECISIONS, required=True)
    parser.add_argument("--steps", type=int, required=True)
    for name in ("learning-rate", "beta1", "beta2", "epsilon", "weight-decay", "clip"):
        parser.add_argument(f"--{name}", type=float, required=True)
    return parser.parse_args()


def load_model(path, precision, adapter):
    """A folder of transformers, or a GGUF, with the adapter in its place; only the adapter can be trained."""
    place = {"pretrained_model_name_or_path": path}
    if path.endswith(".gguf"):
        place = {"pretrained_model_name_or_path": os.path.dirname(path), "gguf_file": os.path.basename(path)}
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=PRECISIONS[precision])
    model.config.use_cache = False
    return PeftModel.from_pretrained(model, adapter, is_trainable=True).train()


def read_batches(path):
    with open(path, encoding="utf-8") as file:
        batches = [json.loads(line) for line in file]
    return [{key: torch.tensor(batch[key]) for key in ("input_ids", "labels")} for batch in batches]


def reset_peak():
    """Forgets the peak memory so far where the system can (Linux), as memory.ts does."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        return "training"
    except OSError:
        return "process"


def peak_bytes(of):
    if of == "training":
        with open("/proc/self/status") as file:
            kilobytes = next(line.split()[1] for line in file if line.startswith("VmHWM:"))
        return int(kilobytes) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def say(record):
    print(json.dumps(record), flush=True)


def main():
    given = read_arguments()
    model = load_model(given.model, given.precision, given.adapter)
    trainables = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trainables,
        lr=given.learning_rate,
        betas=(given.beta1, given.beta2),
        eps=given.epsilon,
        weight_decay=given.weight_decay,
    )
    batches = read_batches(given.batches)
    peak_of = reset_peak()
    for step in range(given.steps):
        batch = batches[step % len(batches)]
        started = time.perf_counter()
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainables, given.clip)
        optimizer.step()
        optimizer.zero_grad()
        seconds = time.perf_counter() - started
        value = loss.item()
        say({"loss": value if math.isfinite(value) else None, "seconds": seconds})
    say({"peakBytes": peak_bytes(peak_of), "peakOf": peak_of})


if __name__ == "__main__":
    main()
