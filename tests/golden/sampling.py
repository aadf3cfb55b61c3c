"""Makes the goldens of sampling: the distribution that transformers draws the next token from.

Versions: torch==2.13.0 transformers==5.17.0. transformers itself puts its processors in order (repetition penalty,
temperature, top-k, top-p), as in `generate`.

    python tests/golden/sampling.py

writes tests/golden/generation/sampling.json: `logits` [3][24], `seen` (token ids so far, with repetitions), and `cases`, each
with its settings and, for each row of logits, the probability of every token (`probabilities`) and the token that greedy
decoding takes after the penalty (`greedy`).
"""

import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

FOLDER = Path(__file__).resolve().parent / "generation"
VOCABULARY = 24

CASES = [
    dict(temperature=1.0, topK=0, topP=1.0, repetitionPenalty=1.0),
    dict(temperature=0.5, topK=0, topP=1.0, repetitionPenalty=1.0),
    dict(temperature=1.7, topK=0, topP=1.0, repetitionPenalty=1.0),
    dict(temperature=1.0, topK=5, topP=1.0, repetitionPenalty=1.0),
    dict(temperature=1.0, topK=1, topP=1.0, repetitionPenalty=1.0),
    dict(temperature=1.0, topK=1000, topP=1.0, repetitionPenalty=1.0),
    dict(temperature=1.0, topK=0, topP=0.9, repetitionPenalty=1.0),
    dict(temperature=1.0, topK=0, topP=0.05, repetitionPenalty=1.0),
    dict(temperature=0.7, topK=8, topP=0.6, repetitionPenalty=1.0),
    dict(temperature=1.0, topK=0, topP=1.0, repetitionPenalty=1.3),
    dict(temperature=0.8, topK=10, topP=0.85, repetitionPenalty=1.5),
    dict(temperature=1.0, topK=0, topP=1.0, repetitionPenalty=0.7),
]


def tiny_model():
    config = LlamaConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=VOCABULARY
    )
    return LlamaForCausalLM(config)


def processors(model, case):
    config = GenerationConfig(
        do_sample=True,
        temperature=case["temperature"],
        top_k=case["topK"],
        top_p=case["topP"],
        repetition_penalty=case["repetitionPenalty"],
    )
    return model._get_logits_processor(config, input_ids_seq_length=6)


def penalty_only(case):
    return {**case, "temperature": 1.0, "topK": 0, "topP": 1.0}


if __name__ == "__main__":
    generator = torch.Generator().manual_seed(41)
    model = tiny_model()
    logits = torch.randn(3, VOCABULARY, generator=generator) * torch.tensor([[1.0], [2.5], [4.0]])
    seen = [3, 7, 7, 0, 23, 11]
    ids = torch.tensor([seen] * 3)
    cases = []
    for case in CASES:
        made = processors(model, case)
        print(case, [type(p).__name__ for p in made])
        probabilities = torch.softmax(made(ids, logits.clone()).double(), dim=-1)
        greedy = processors(model, penalty_only(case))(ids, logits.clone()).argmax(dim=-1)
        cases.append({**case, "probabilities": probabilities.tolist(), "greedy": greedy.tolist()})
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "sampling.json").write_text(json.dumps({"logits": logits.tolist(), "seen": seen, "cases": cases}) + "\n")
