"""Writes a Q8_0 copy of a GGUF file: every matrix de-quantised and rounded again to 8 bits, in blocks of 32.

usage: quantise.py SOURCE TARGET. Needs the package gguf. Prints {"tensors"}, how many were written. The file appears whole or not at all.
"""

import json
import os
import sys

from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.constants import GGMLQuantizationType, LlamaFileType
from gguf.quants import dequantize, quantize

# The writer sets these itself.
OWN_FIELDS = {
    "GGUF.version",
    "GGUF.tensor_count",
    "GGUF.kv_count",
    "general.architecture",
    "general.file_type",
    "general.quantization_version",
}


def copy_metadata(reader, writer):
    for name, field in reader.fields.items():
        if name in OWN_FIELDS:
            continue
        kind, *element = field.types
        writer.add_key_value(name, field.contents(), kind, sub_type=element[-1] if kind == GGUFValueType.ARRAY else None)
    writer.add_quantization_version(2)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)


def main():
    source, target = sys.argv[1:]
    reader = GGUFReader(source)
    partial = f"{target}.partial"
    writer = GGUFWriter(partial, reader.fields["general.architecture"].contents())
    copy_metadata(reader, writer)
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        if len(tensor.shape) == 1:  # gains of norms stay as they are
            writer.add_tensor(tensor.name, values)
            continue
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(tensor.name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, target)
    print(json.dumps({"tensors": len(reader.tensors)}))


if __name__ == "__main__":
    main()
