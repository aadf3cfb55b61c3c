"""Makes tests/golden/tiny-chat/: a whole model folder for tests from the model's name to the answer.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0. On the CPU, with fixed seeds.

    python tests/golden/tiny_chat.py

A seeded Llama (2 layers, hidden 32, head tied, F32) over the byte-level vocabulary of tests/golden/text.py, with its
ChatML template and generation settings, as transformers 5 loads it; `adapter/` is a LoRA on all seven linear layers
(r 4, alpha 8, A and B random), saved by PEFT. `golden.json` holds, as Python computes them: `texts` with their `ids`; a
conversation (`messages`) with its rendered `text` and ids; the logits' sum of squares and arg-max of that conversation for
the base and with the adapter; greedy answers of both. A second run writes the same bytes, but for the order of
`target_modules` (a set) in the adapter's configuration.
"""

import json
import os
import shutil
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "tiny-chat"
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LINEAR_NAMES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TEXTS = ["Hello, world!", "  two spaces\n\tand 2024-01-31", "汉字 👍🏽 é", "<|im_start|>user\nHi<|im_end|>"]
MESSAGES = [
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Paris"},
]


def write(name, value):
    (FOLDER / name).write_text(json.dumps(value, ensure_ascii=True, indent=2) + "\n")


def save_model():
    shutil.rmtree(FOLDER, ignore_errors=True)
    config = LlamaConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        vocab_size=640,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(21)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + 0.2 * noise if "norm" in key else 0.2 * noise)
    model.save_pretrained(FOLDER)
    shutil.copy(HERE / "text" / "byte-level" / "tokenizer.json", FOLDER / "tokenizer.json")
    special = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>", "unk_token": "<|endoftext|>"}
    write(
        "tokenizer_config.json",
        {
            **special,
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 2048,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "chat_template": TEMPLATE,
        },
    )
    write("special_tokens_map.json", special)
    write("generation_config.json", {"bos_token_id": 1, "eos_token_id": [2], "pad_token_id": 2})


def save_adapter():
    torch.manual_seed(22)
    options = dict(r=4, lora_alpha=8, target_modules=LINEAR_NAMES, task_type="CAUSAL_LM", init_lora_weights="gaussian")
    base = AutoModelForCausalLM.from_pretrained(FOLDER)
    base.name_or_path = base.config._name_or_path = "tiny-chat"
    model = get_peft_model(base, LoraConfig(**options))
    generator = torch.Generator().manual_seed(23)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    model.save_pretrained(FOLDER / "adapter", save_embedding_layers=False)
    (FOLDER / "adapter" / "README.md").unlink()


def describe(model, ids, prompt):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
        answer = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=12, do_sample=False)
    return {
        "sumOfSquares": logits.double().square().sum().item(),
        "argMax": logits.argmax(-1).tolist(),
        "answer": answer[0, len(prompt) :].tolist(),
    }


def save_golden():
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    ids = tokenizer.apply_chat_template(MESSAGES, return_dict=True)["input_ids"]
    prompt = tokenizer.apply_chat_template(MESSAGES[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
    base = AutoModelForCausalLM.from_pretrained(FOLDER).eval()
    facts = {
        "texts": TEXTS,
        "ids": [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS],
        "messages": MESSAGES,
        "text": tokenizer.apply_chat_template(MESSAGES, tokenize=False),
        "conversation": ids,
        "prompt": prompt,
        "base": describe(base, ids, prompt),
        "adapted": describe(PeftModel.from_pretrained(base, FOLDER / "adapter").eval(), ids, prompt),
    }
    write("golden.json", facts)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_model()
    save_adapter()
    save_golden()
