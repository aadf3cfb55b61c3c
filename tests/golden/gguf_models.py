"""Makes tests/golden/gguf/: tiny seeded decoders as GGUF files, one for each architecture, with what others compute from them.

Versions: torch==2.13.0 transformers==5.17.0 gguf==0.19.0. On the CPU, with fixed seeds.

    python tests/golden/gguf_models.py                          the files, and golden.json with transformers' numbers
    node tests/golden/gguf-llama-cpp.js NODE_MODULES            adds llama.cpp's logits (node-llama-cpp 3.22, which is no dependency)

`<name>.gguf` is a model as llama.cpp's converter stores it: names by the gguf package's own map, value changes as in
convert_hf_to_gguf.py (written anew below), F32 but where the name ends in `-quantised`. `golden.json` holds for each:
the `config` of transformers, sha256 of every tensor under Hugging Face's name (of a quantised one, of what the gguf package
makes of it), the logits of transformers at `ids`, and those of llama.cpp, as base64 of float32 [T, V].
"""

import base64
import hashlib
import json
import math
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize
from transformers import AutoConfig, AutoModelForCausalLM

OUT = Path(__file__).resolve().parent / "gguf"
VOCABULARY = 48
IDS = [1, 17, 5, 40, 23, 9, 46, 33, 12, 28, 27, 3]
SMALL = dict(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2)
#: With blocks of 32 weights, rows are a multiple of 32.
WIDE = dict(hidden_size=32, intermediate_size=64, n_embd=32)
ROPE = dict(rope_type="default", rope_theta=10000.0)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64, beta_fast=16.0)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
LONG = dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75,
            short_factor=[1.0, 1.25, 1.5], long_factor=[1.5, 2.0, 4.0])
LOCAL = dict(rope_type="default", rope_theta=10000.0)

MODELS = {
    "llama": ("llama", dict(SMALL, head_dim=8, tie_word_embeddings=False, rope_parameters=LLAMA3)),
    "llama-yarn": ("llama", dict(SMALL, tie_word_embeddings=False, rope_parameters=YARN)),
    "qwen2": ("qwen2", dict(SMALL, tie_word_embeddings=True, rope_parameters=YARN)),
    "qwen3": ("qwen3", dict(SMALL, head_dim=8, tie_word_embeddings=False, rope_parameters=dict(ROPE, rope_theta=1000000.0))),
    "smollm3": ("smollm3", dict(SMALL, num_hidden_layers=4, tie_word_embeddings=True, rope_parameters=dict(ROPE, rope_theta=5000000.0))),
    "phi3": ("phi3", dict(SMALL, max_position_embeddings=32, original_max_position_embeddings=32, tie_word_embeddings=False,
                          sliding_window=20, rope_parameters=ROPE)),
    # llama.cpp takes the long factors where its context, never less than 256, is longer than the original one.
    "phi3-short": ("phi3", dict(SMALL, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=1024,
                                original_max_position_embeddings=512, tie_word_embeddings=True, rope_parameters=dict(LONG))),
    "phi3-long": ("phi3", dict(SMALL, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32,
                               original_max_position_embeddings=8, tie_word_embeddings=True, rope_parameters=dict(LONG))),
    "gemma2": ("gemma2", dict(SMALL, head_dim=8, query_pre_attn_scalar=8, sliding_window=5, tie_word_embeddings=True,
                              attn_logit_softcapping=2.0, final_logit_softcapping=3.0, rope_parameters=ROPE)),
    "gemma3": ("gemma3_text", dict(SMALL, head_dim=8, num_hidden_layers=7, query_pre_attn_scalar=8, sliding_window=5, tie_word_embeddings=True,
                                   rope_parameters=dict(full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0),
                                                        sliding_attention=LOCAL))),
    "gpt2": ("gpt2", dict(vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=4, n_positions=32, pad_token_id=0, bos_token_id=1,
                          eos_token_id=2, tie_word_embeddings=True)),
}
ARCHITECTURES = {"gemma3_text": "gemma3"}
#: Those that are written a second time, with a type of blocks for each matrix in turn.
QUANTISED = ["llama", "smollm3", "qwen2", "gemma2", "gpt2", "phi3"]
TYPES = [T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1]


def b64(array):
    return base64.b64encode(np.ascontiguousarray(array, np.float32).tobytes()).decode()


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array, np.float32).tobytes()).hexdigest()


def build(model_type, options, quantised):
    if quantised:
        options = {key: WIDE.get(key, value) for key, value in options.items()}
    config = AutoConfig.for_model(model_type, **options)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).float().eval()
    generator = torch.Generator().manual_seed(31)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            is_gain = weight.ndim == 1 and name.endswith("weight")
            centre = 0.0 if model_type.startswith("gemma") else 1.0
            weight.copy_(centre + 0.2 * noise if is_gain else 0.2 * noise)
    return model


def permute(weight, heads):
    """LlamaModel.permute: the two halves of each head interleaved."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def unpermute(weight, heads):
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


class Converter:
    """What the classes of convert_hf_to_gguf.py do to values: `store`, and `read`, which undoes it."""

    def __init__(self, model_type, config):
        self.kind = model_type
        self.heads = {"q_proj": config.num_attention_heads, "k_proj": getattr(config, "num_key_value_heads", None)}

    def store(self, name, value):
        part = name.split(".")[-2]
        if self.kind in ("llama", "smollm3") and part in self.heads:
            return permute(value, self.heads[part])
        if self.kind.startswith("gemma") and name.endswith("norm.weight"):
            return value + np.float32(1)
        return value.T if self.transposes(name) else value

    def transposes(self, name):
        return self.kind == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))

    def read(self, name, value):
        """As this project reads it: a Conv1D keeps the orientation of the file, [out, in]."""
        part = name.split(".")[-2]
        if self.kind in ("llama", "smollm3") and part in self.heads:
            return unpermute(value, self.heads[part])
        if self.kind.startswith("gemma") and name.endswith("norm.weight"):
            return value - np.float32(1)
        return value


def add_parameters(writer, kind, config):
    """The metadata that set_gguf_parameters of each class writes."""
    if kind == "gpt2":
        writer.add_block_count(config.n_layer)
        writer.add_context_length(config.n_positions)
        writer.add_embedding_length(config.n_embd)
        writer.add_feed_forward_length(4 * config.n_embd)
        writer.add_head_count(config.n_head)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_size = getattr(config, "head_dim", None)
    if head_size is not None and kind != "phi3":
        writer.add_key_length(head_size)
        writer.add_value_length(head_size)
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
        writer.add_sliding_window(config.sliding_window)
        return
    writer.add_rope_freq_base(rope["rope_theta"])
    if kind == "phi3":
        size = config.hidden_size // config.num_attention_heads
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * size))
        writer.add_sliding_window(config.sliding_window or 0)
        return
    if kind in ("llama", "smollm3"):
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(head_size or config.hidden_size // config.num_attention_heads)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    if kind == "gemma3_text":
        writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
        writer.add_sliding_window(config.sliding_window)


def add_rotary_factors(writer, kind, config):
    """generate_extra_tensors of Llama and Phi-3."""
    rope = config.rope_parameters if kind != "gpt2" else {}
    if rope.get("rope_type") == "llama3":
        frequencies = 1.0 / (rope["rope_theta"] ** (torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim))
        low, high, original = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
        factors = []
        for length in (2 * math.pi / frequencies).tolist():
            smooth = min(1.0, max(0.0, (original / length - low) / (high - low)))
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
        writer.add_tensor("rope_freqs.weight", np.array(factors, np.float32))
    if rope.get("rope_type") == "longrope":
        scale = config.max_position_embeddings / config.original_max_position_embeddings
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(config.original_max_position_embeddings)))
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))


def add_vocabulary(writer):
    """WordPiece: of all kinds that llama.cpp knows, the one that is content with any few tokens."""
    tokens = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"] + [f"\u2581{a}{b}" for a in "abcdefgh" for b in "ijklmnop"][: VOCABULARY - 4]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3, 2] + [1] * (len(tokens) - 4))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)


def save(name, kind, options, quantised=False, most_tensors=0):
    model = build(kind, options, quantised)
    config = model.config
    architecture = ARCHITECTURES.get(kind, kind)
    number = {text: arch for arch, text in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    names = gguf.get_tensor_name_map(number, config.num_hidden_layers)
    converter = Converter(kind, config)
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", architecture, split_max_tensors=most_tensors)
    add_parameters(writer, kind, config)
    add_vocabulary(writer)
    tensors, turn = {}, 0
    with torch.no_grad():
        for hf, weight in model.named_parameters():
            stored = np.ascontiguousarray(converter.store(hf, weight.numpy()))
            block_type = T.F32
            if quantised and stored.ndim == 2 and hf != "transformer.wpe.weight":
                block_type, turn = TYPES[turn % len(TYPES)], turn + 1
            data = quantize(stored, block_type)
            writer.add_tensor(names.get_name(hf, try_suffixes=(".weight", ".bias")), data, raw_dtype=block_type)
            read = np.ascontiguousarray(converter.read(hf, dequantize(data, block_type).reshape(stored.shape)))
            tensors[hf] = {"type": block_type.name, "shape": list(read.shape), "sha256": sha(read)}
            # The logits are those of what the file holds.
            held = torch.from_numpy(read.T.copy() if converter.transposes(hf) else read)
            assert quantised or (held - weight).abs().max() <= 1.2e-7, hf
            weight.copy_(held)
        add_rotary_factors(writer, kind, config)
        logits = model(torch.tensor([IDS])).logits[0]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    fields = {"model_type", "head_dim", *type(config).__annotations__}  # its own, not those that all configurations have
    kept = {key: value for key, value in config.to_dict().items() if key in fields}
    return {"architecture": architecture, "config": kept, "tensors": tensors, "logits": b64(logits.numpy())}


if __name__ == "__main__":
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    golden = {"ids": IDS, "models": {}}
    for name, (kind, options) in MODELS.items():
        golden["models"][name] = save(name, kind, options)
        if name in QUANTISED:
            golden["models"][f"{name}-quantised"] = save(f"{name}-quantised", kind, options, quantised=True)
    # qwen3.gguf in three parts
    save("qwen3-split", *MODELS["qwen3"], most_tensors=10)
    (OUT / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
