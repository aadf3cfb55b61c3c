"""Makes tests/golden/tiny-chat/: a whole model folder for tests from the model's name to the answer.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0 gguf==0.19.0. On the CPU, with fixed seeds.

    python tests/golden/tiny_chat.py

A seeded Llama (2 layers, hidden 32, head tied, F32) over the byte-level vocabulary of tests/golden/text.py, with its
ChatML template and generation settings, as transformers 5 loads it; `adapter/` is a LoRA on all seven linear layers
(r 4, alpha 8, A and B random), saved by PEFT; `tiny-chat.gguf` is the same model as llama.cpp stores it, F32.
`golden.json` holds, as Python computes them: `texts` with their `ids`; a conversation (`messages`) with its rendered
`text` and ids; of that conversation the logits' sum of squares and arg-max and the nll of every token after the first,
for the base and with the adapter; greedy answers of both. A second run writes the same bytes.
"""

import json
import os
import shutil
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import gguf
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
    path = FOLDER / "adapter" / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"].sort()  # a set: its order changes from run to run
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def permute(weight, heads):
    """The order in which llama.cpp stores the rows of q and k: the two halves of each head interleaved."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def save_gguf():
    model = AutoModelForCausalLM.from_pretrained(FOLDER)
    config = model.config
    writer = gguf.GGUFWriter(FOLDER / "tiny-chat.gguf", "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    tokenizer = json.loads((FOLDER / "tokenizer.json").read_text())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(sorted(tokenizer["vocab"], key=tokenizer["vocab"].get))
    writer.add_token_types([3, 3, 3] + [1] * (config.vocab_size - 3))
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, weight in model.named_parameters():
        value = weight.detach().numpy()
        part = name.split(".")[-2]
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), permute(value, heads[part]) if part in heads else value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(model, ids, prompt):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
        answer = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=12, do_sample=False)
    return {
        "sumOfSquares": logits.double().square().sum().item(),
        "nll": torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none").tolist(),
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
    save_gguf()
    save_golden()
