"""Goldens of tests/data/distinct.test.ts: MurmurHash3 x86_128 of 32-bit words in little-endian order.

Made with Python 3.11, mmh3 5.3.1 (which wraps Appleby's own C++):  python tests/golden/fingerprints.py
"""

import json
import pathlib
import random
import struct

import mmh3

random.seed(5)
lists = [[random.randrange(-(2**31), 2**31) for _ in range(length)] for length in range(14)]
lists += [[1], [-1], [0] * 9, list(range(300))]
cases = []
for words in lists:
    packed = struct.pack(f"<{len(words)}i", *words)
    cases.append({"words": words, "hash": struct.unpack("<4i", mmh3.hash_bytes(packed, 0, False))})
path = pathlib.Path(__file__).parent / "fingerprints" / "golden.json"
path.write_text(json.dumps(cases) + "\n")
