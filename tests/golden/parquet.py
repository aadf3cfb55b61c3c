"""Small Parquet files of every kind that data sets come in, with the rows that pyarrow reads from them, for tests/data.

Run: python tests/golden/parquet.py

Versions used: pyarrow 26.0.1. Writes tests/golden/parquet/:
  NAME.parquet     NAME says what it has: compression, dictionary, pages, nesting
  rows.json        the rows of each file as pyarrow's to_pylist gives them
"""

import datetime
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "parquet")

message = pa.struct([("role", pa.string()), ("content", pa.string())])
chats = pa.table(
    {
        "id": pa.array([1, 2, None, 4, 5, 2**60], pa.int64()),
        "messages": pa.array(
            [
                [{"role": "user", "content": f"Wie heißt Nummer {i}? 漢字 👍🏽"}, {"role": "assistant", "content": f"{i}"}]
                if i != 3
                else [{"role": "user", "content": "Answer."}, {"role": "assistant", "content": None}, {"role": None, "content": ""}]
                for i in range(5)
            ]
            + [None],
            pa.list_(message),
        ),
        "tags": pa.array([["a", None, "b"], [], None, ["c"], ["a"], ["d", "e"]], pa.list_(pa.string())),
        "meta": pa.array([{"source": {"name": f"s{i}"}, "score": i / 4} for i in range(5)] + [None]),
    }
)
plain = pa.table(
    {
        "prompt": [f"number {i}" for i in range(50)],
        "completion": pa.array([None if i % 7 == 3 else str(i * i) for i in range(50)], pa.string()),
        "topic": pa.array(["sums", "squares"] * 25).dictionary_encode(),
        "flag": pa.array([None if i % 5 == 0 else i % 2 == 0 for i in range(50)], pa.bool_()),
        "half": pa.array([i / 2 for i in range(50)], pa.float32()),
        "small": pa.array([i - 25 for i in range(50)], pa.int8()),
        "when": pa.array([datetime.datetime(2024, 1, 1 + i % 28, 12, 30) for i in range(50)], pa.timestamp("ms")),
        "long": pa.array([f"{i} " * (i % 9) for i in range(50)], pa.large_string()),
    }
)

FILES = {
    "plain-uncompressed": (plain, dict(compression="none", use_dictionary=False)),
    "plain-snappy-groups": (plain, dict(compression="snappy", row_group_size=12)),
    "plain-gzip": (plain, dict(compression="gzip", data_page_version="2.0")),
    "plain-zstd": (plain, dict(compression="zstd", use_dictionary=["topic"])),
    "plain-brotli": (plain, dict(compression="brotli")),
    "plain-lz4": (plain, dict(compression="lz4")),
    "plain-delta": (
        plain.select(["prompt", "small", "long"]),
        dict(use_dictionary=False, column_encoding={"prompt": "DELTA_BYTE_ARRAY", "small": "DELTA_BINARY_PACKED", "long": "DELTA_LENGTH_BYTE_ARRAY"}),
    ),
    "chats-snappy": (chats, dict(compression="snappy")),
    "chats-zstd-groups": (chats, dict(compression="zstd", row_group_size=2)),
    "empty": (plain.slice(0, 0), dict()),
}


def write():
    os.makedirs(HERE, exist_ok=True)
    rows = {}
    for name, (table, options) in FILES.items():
        path = os.path.join(HERE, f"{name}.parquet")
        pq.write_table(table, path, store_schema=False, **options)
        rows[name] = pq.read_table(path).to_pylist()

    def written(value):
        return value.isoformat(timespec="milliseconds") + "Z"

    with open(os.path.join(HERE, "rows.json"), "w") as file:
        json.dump(rows, file, ensure_ascii=False, default=written)
        file.write("\n")


if __name__ == "__main__":
    write()
