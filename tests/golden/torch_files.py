"""Files of torch.save: tensors in every form that a state dict has them, and pickles that do more than hold tensors.

python torch_files.py: writes golden/torch/. Its adapter_model.bin is the adapter of golden/tiny-chat, as PEFT saved it before safetensors.
"""

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent / "torch"


def save(name, value, **options):
    torch.save(value, HERE / name, **options)


class Harm:
    """What a pickle can do: call a function as it is loaded."""

    def __reduce__(self):
        return (print, ("executed",))


def main():
    HERE.mkdir(exist_ok=True)
    torch.manual_seed(7)
    base = torch.randn(4, 6)
    tensors = OrderedDict(
        matrix=base,
        half=torch.randn(3, 2).half(),
        brain=torch.randn(5).bfloat16(),
        turned=torch.randn(3, 4).T,
        slice=base[1:3],
        parameter=torch.nn.Parameter(torch.randn(2, 2)),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
        steps=torch.tensor([1, 2, 3]),
    )
    tensors._metadata = {"": {"version": 1}}  # as a module's state_dict has it
    save("tensors.bin", tensors)
    save("protocol-4.bin", dict(tensors), pickle_protocol=4)
    save("strided.bin", {"strided": torch.randn(4, 4)[:, ::2]})
    save("more.bin", {"model": torch.randn(2), "epoch": 3})
    save("legacy.bin", {"matrix": base}, _use_new_zipfile_serialization=False)
    values = {name: tensor.detach().float().reshape(-1).tolist() for name, tensor in tensors.items() if name != "steps"}
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    (HERE / "values.json").write_text(json.dumps({"values": values, "shapes": shapes}) + "\n")

    save("adapter_model.bin", load_file(HERE.parent / "tiny-chat" / "adapter" / "adapter_model.safetensors"))

    with zipfile.ZipFile(HERE / "harm.bin", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"matrix": Harm()}, protocol=2))
        archive.writestr("archive/version", "3\n")
    compressed = io.BytesIO((HERE / "more.bin").read_bytes())
    with zipfile.ZipFile(compressed) as source, zipfile.ZipFile(HERE / "compressed.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))


if __name__ == "__main__":
    main()
