"""Makes tests/golden/weights: quantised blocks, a small GGUF model and sharded safetensors, with the values that others read from them.

Run:  python tests/golden/weights.py      (gguf 0.19.0, safetensors, torch 2.13, transformers 5.17, numpy)
The values come from gguf.quants.dequantize, from transformers' rotary scaling, and from the tensors before they were stored.
"""

import base64
import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize
from safetensors.torch import save_file
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

OUT = Path(__file__).parent / "weights"
OUT.mkdir(exist_ok=True)
rng = np.random.default_rng(20240607)


def b64(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


# Random bytes are valid blocks once the half-precision scales are finite; their places in each block:
HALVES = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}
LATER_HALVES = {T.Q2_K: [80, 82], T.Q3_K: [108], T.IQ4_NL: [0], T.IQ4_XS: [0], T.MXFP4: []}


def block_cases(kinds, rng):
    cases = []
    for kind, halves in kinds.items():
        weights, size = gguf.GGML_QUANT_SIZES[kind]
        count = 6 if weights == 256 else 24
        data = rng.integers(0, 256, (count, size), dtype=np.uint8)
        for at in halves:
            scales = (rng.standard_normal(count) * 10.0 ** rng.integers(-6, 3, count)).astype(np.float16)
            scales[0], scales[1] = np.float16(6e-8), np.float16(-65504)  # the smallest subnormal, the largest magnitude
            data[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)
        if kind == T.MXFP4:
            data[:, 0] = rng.integers(0, 251, count)  # exponents; beyond, values overflow
            data[0, 0], data[1, 0], data[2, 0] = 0, 1, 2  # subnormal, and the first that is not
        cases.append({"type": kind.name, "stored": b64(data), "values": b64(dequantize(data, kind))})
    return cases


def blocks():
    cases = block_cases(HALVES, rng)
    floats = (rng.standard_normal(64) * 10.0 ** rng.integers(-8, 8, 64)).astype(np.float32)
    cases.append({"type": "F32", "stored": b64(floats), "values": b64(floats)})
    bf16 = quantize(floats.reshape(1, -1), T.BF16)
    cases.append({"type": "BF16", "stored": b64(bf16), "values": b64(dequantize(bf16, T.BF16))})
    cases += block_cases(LATER_HALVES, np.random.default_rng(7))  # a generator of their own: the numbers of the rest stay
    every = np.arange(65536, dtype=np.uint16).view(np.float16)  # NaN left out: hardware quietens it, software does not
    every = every[~np.isnan(every)]
    return {"cases": cases, "everyHalf": {"count": int(every.size), "sha256": sha(every.astype(np.float32))}}


HIDDEN, HEADS, KV, HEAD, FFN, VOCAB = 64, 4, 2, 32, 96, 40


def permute(w, heads):  # as convert_hf_to_gguf.py stores q and k
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def model():
    shapes = {
        "token_embd.weight": ("model.embed_tokens.weight", (VOCAB, HIDDEN), T.Q8_0),
        "output_norm.weight": ("model.norm.weight", (HIDDEN,), T.F32),
        "output.weight": ("lm_head.weight", (VOCAB, HIDDEN), T.BF16),
        "blk.0.attn_norm.weight": ("model.layers.0.input_layernorm.weight", (HIDDEN,), T.F32),
        "blk.0.attn_q.weight": ("model.layers.0.self_attn.q_proj.weight", (HEADS * HEAD, HIDDEN), T.Q4_1),
        "blk.0.attn_k.weight": ("model.layers.0.self_attn.k_proj.weight", (KV * HEAD, HIDDEN), T.F32),
        "blk.0.attn_v.weight": ("model.layers.0.self_attn.v_proj.weight", (KV * HEAD, HIDDEN), T.Q5_0),
        "blk.0.attn_output.weight": ("model.layers.0.self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD), T.Q5_1),
        "blk.0.ffn_norm.weight": ("model.layers.0.post_attention_layernorm.weight", (HIDDEN,), T.F32),
        "blk.0.ffn_gate.weight": ("model.layers.0.mlp.gate_proj.weight", (FFN, HIDDEN), T.Q4_0),
        "blk.0.ffn_up.weight": ("model.layers.0.mlp.up_proj.weight", (FFN, HIDDEN), T.F16),
        "blk.0.ffn_down.weight": ("model.layers.0.mlp.down_proj.weight", (HIDDEN, FFN), T.Q4_0),
    }
    config = LlamaConfig(
        hidden_size=HIDDEN, num_attention_heads=HEADS, num_key_value_heads=KV, head_dim=HEAD, max_position_embeddings=131072,
        rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    )
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1.0 / (500000.0 ** (torch.arange(0, HEAD, 2).float() / HEAD))
    factors = (plain / scaled).numpy().astype(np.float32)

    writer = gguf.GGUFWriter(OUT / "tiny-llama.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(131072)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCAB)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["\ufeff", "<s>", "</s>"] + [f"token{i}" for i in range(VOCAB - 3)])
    writer.add_token_scores([float(-i) for i in range(VOCAB)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_uint64("lorikeet.large", 2**63 + 1)
    expected = {}
    for name, (hf, shape, kind) in shapes.items():
        stored = quantize(rng.standard_normal(shape).astype(np.float32) * 0.1, kind)
        writer.add_tensor(name, stored, raw_dtype=kind)
        value = dequantize(stored, kind).reshape(shape)
        heads = HEADS if "attn_q" in name else KV if "attn_k" in name else None
        if heads is not None:  # the inverse of permute
            value = value.reshape(heads, HEAD // 2, 2, HIDDEN).swapaxes(1, 2).reshape(shape)
            assert np.array_equal(permute(value, heads), dequantize(stored, kind).reshape(shape))
        expected[hf] = {"type": kind.name, "shape": list(shape), "sha256": sha(value)}
    writer.add_tensor("rope_freqs.weight", factors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {"tensors": expected, "ropeFactors": b64(factors)}


def shards():
    folder = OUT / "sharded"
    folder.mkdir(exist_ok=True)
    parts = {
        "model-00001-of-00002.safetensors": {"a.weight": torch.randn(3, 5), "b.weight": torch.randn(4, 6).to(torch.float16)},
        "model-00002-of-00002.safetensors": {
            "c.weight": torch.randn(2, 7).to(torch.bfloat16), "d.scalar": torch.tensor(2.5), "e.empty": torch.zeros(0, 4),
            "f.positions": torch.arange(6),
        },
    }
    expected, places = {}, {}
    for file, tensors in parts.items():
        save_file(tensors, folder / file, metadata={"format": "pt"})
        for name, tensor in tensors.items():
            places[name] = file
            if tensor.dtype.is_floating_point:
                expected[name] = {"shape": list(tensor.shape), "values": b64(tensor.float().numpy())}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": places}))
    return expected


torch.manual_seed(7)
(OUT / "expected.json").write_text(json.dumps({"blocks": blocks(), "model": model(), "shards": shards()}, indent=1))
