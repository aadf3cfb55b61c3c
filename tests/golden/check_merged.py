"""Checks by hand a folder that `lorikeet merge` wrote: transformers must load it and agree with base and adapter.

Versions: torch==2.13.0 transformers==5.17.0 peft==0.21.0 tokenizers==0.23.3 gguf==0.19.0.

    python tests/golden/check_merged.py MERGED ADAPTER BASE [--gguf FILE.gguf]

BASE is the model's own folder; with --gguf it is the folder of the GGUF file, which transformers de-quantises. Compares the ids of
hard texts between AutoTokenizer, tokenizers itself and (for a folder) the base's own tokenizer; the rendering of a conversation;
and the logits of that conversation with those of base + adapter in PEFT, whose merged weights are rounded where the folder is in 16
bits. Prints what it found and ends with 1 where they differ.
"""

# Proves folder out: transformers gives the logits of PEFT's base and adapter, in shards and 16 bits too

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from gguf import GGUFReader
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-5  # of the largest logit
MESSAGES = [
    {"role": "user", "content": "What is the capital of France? 12345 👍🏽"},
    {"role": "assistant", "content": "Paris,\n\tof course."},
]


def check(what, fine):
    print("ok  " if fine else "BAD ", what)
    return fine


def template_of(path):
    field = GGUFReader(path).fields["tokenizer.chat_template"]
    return bytes(field.parts[field.data[0]]).decode()


def main(merged, adapter, base, gguf_file=None):
    source = {} if gguf_file is None else {"gguf_file": gguf_file}
    texts = json.loads((HERE / "text" / "byte-level.json").read_text())["texts"]
    auto = AutoTokenizer.from_pretrained(merged)
    bare = Tokenizer.from_file(str(Path(merged) / "tokenizer.json"))
    fine = [
        check(
            f"AutoTokenizer gives the ids of tokenizers on {len(texts)} texts",
            all(auto.encode(t) == bare.encode(t).ids for t in texts),
        ),
        check("decoding returns the texts", all(auto.decode(auto.encode(t, add_special_tokens=False)) == t for t in texts)),
    ]
    theirs = AutoTokenizer.from_pretrained(base, **source)
    if gguf_file is None:
        fine.append(check("the ids are the base's", all(auto.encode(t) == theirs.encode(t) for t in texts)))
    else:
        # transformers' own reading of a GGUF knows no rule for digits, so that it is a hint and no measure.
        print("    ", sum(auto.encode(t) == theirs.encode(t) for t in texts), "of", len(texts), "as transformers reads the GGUF")
    template = theirs.chat_template if gguf_file is None else template_of(Path(base) / gguf_file)
    fine.append(check("the template", auto.chat_template == template))

    ids = torch.tensor([auto.apply_chat_template(MESSAGES, return_dict=True)["input_ids"]])
    with torch.no_grad():
        model, info = AutoModelForCausalLM.from_pretrained(merged, output_loading_info=True)
        ours = model.eval()(ids).logits
        dtype = model.dtype
        reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, **source), adapter).eval()
        if dtype != torch.float32:  # PEFT's merged weights, rounded as the folder's are; both compute in float32
            reference = reference.merge_and_unload()
            for weight in reference.parameters():
                weight.copy_(weight.to(dtype))
            ours = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32).eval()(ids).logits
        expected = reference(ids).logits
    fine.append(check(f"no missing or unexpected weights {dict(info)}", not info["missing_keys"] and not info["unexpected_keys"]))
    gap = ((ours - expected).abs().max() / expected.abs().max()).item()
    fine.append(check(f"logits differ by {gap:.1e} of the largest at most (allowed {TOLERANCE})", gap <= TOLERANCE))
    ends = model.generation_config.eos_token_id
    print("     generation ends at", ends, "dtype", dtype)
    return 0 if all(fine) else 1


if __name__ == "__main__":
    arguments = sys.argv[1:]
    gguf_name = arguments.pop(arguments.index("--gguf") + 1) if "--gguf" in arguments else None
    sys.exit(main(*[a for a in arguments if a != "--gguf"], gguf_file=gguf_name))
