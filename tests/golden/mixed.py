"""Makes the golden of batches in which each row names its adapter (tests/generation/mixed-batch.test.ts): PEFT's `adapter_names`.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0. On the CPU, in fp32, with fixed seeds. Run after variants.py, whose adapters on
the tiny Qwen 2 it loads: ranks 2, 1 to 4 and 4, one of them beside some layers alone.

    python tests/golden/mixed.py

writes tests/golden/mixed/:
- golden.safetensors: `logits` [6, 16, 96] of a batch padded on the right, zero on padding
- golden.json: the batch (`rows`: adapter, ids), and `generation`: what `generate` answers to the first tokens of each row, padded on the
  left, greedy, and by how much the winning logit led at least

PEFT refuses DoRA in such a batch, which this script asserts: tests compare its rows with PEFT's logits of the adapter alone.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel

from architectures import ARCHITECTURES, load_model
from make import HERE, write_golden

BASE = "qwen2"
ADAPTERS = {name: HERE / "variants" / name / "adapter" for name in ("rslora", "patterns", "pissa", "dora")}
ROWS = [("rslora", 16), ("__base__", 9), ("patterns", 13), ("pissa", 5), ("rslora", 7), ("patterns", 16)]
PROMPT, NEW = 5, 12


def padded(rows, side):
    width = max(map(len, rows))
    fill = lambda row: [0] * (width - len(row))
    ids = [row + fill(row) if side == "right" else fill(row) + row for row in rows]
    mask = [[1] * len(row) + fill(row) if side == "right" else fill(row) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


@torch.no_grad()
def answers(model, prompts, names):
    """Greedy tokens of each row, and the smallest lead of a winning logit."""
    ids, mask = padded(prompts, "left")
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        adapter_names=names,
        do_sample=False,
        max_new_tokens=NEW,
        pad_token_id=0,
        eos_token_id=None,
        output_logits=True,
        return_dict_in_generate=True,
    )
    top = torch.stack(out.logits).topk(2).values
    return out.sequences[:, ids.shape[1] :].tolist(), (top[..., 0] - top[..., 1]).min().item()


def main():
    base = load_model(BASE, ARCHITECTURES[BASE])
    model = None
    for name, folder in ADAPTERS.items():
        if model is None:
            model = PeftModel.from_pretrained(base, folder, adapter_name=name)
        else:
            model.load_adapter(folder, adapter_name=name)
    model.eval()
    generator = torch.Generator().manual_seed(401)
    rows = [torch.randint(3, 96, (length,), generator=generator).tolist() for _, length in ROWS]
    names = [name for name, _ in ROWS]
    ids, mask = padded(rows, "right")
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, adapter_names=names).logits * mask.unsqueeze(-1)
    try:
        model(input_ids=ids[:1], attention_mask=mask[:1], adapter_names=["dora"])
        raise AssertionError("PEFT takes DoRA in a mixed batch now: add its rows")
    except ValueError as refusal:
        print(refusal)

    found, lead = answers(model, [row[: PROMPT + at] for at, row in enumerate(rows)], names)
    print("smallest lead", lead)
    generation = [{"prompt": row[: PROMPT + at], "ids": got} for at, (row, got) in enumerate(zip(rows, found))]
    folder = HERE / "mixed"
    folder.mkdir(exist_ok=True)
    facts = {
        "rows": [{"adapter": None if name == "__base__" else name, "ids": row} for name, row in zip(names, rows)],
        "generation": {"smallestLead": lead, "answers": generation},
    }
    write_golden(folder, {"logits": logits}, facts)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
