import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { openTorchFile } from "../../src/weights/node/open-torch-file.js";
import { golden, goldenPath } from "../support/golden.js";

// The files are PyTorch's (tests/golden/torch_files.py), and so are the values.
const file = (name: string) => goldenPath(`torch/${name}`);
const expected = golden<{ values: Record<string, number[]>; shapes: Record<string, number[]> }>("torch/values.json");

// Proves peft-bin in: PyTorch's values; the pickle is read as data and never executed, and what is no tensor is refused
describe("a file of torch.save", () => {
  test.each(["tensors.bin", "protocol-4.bin"])("gives PyTorch's values: views, turned matrices, halves, parameters (%s)", async (name) => {
    const checkpoint = await openTorchFile(file(name));
    expect([...checkpoint.unreadable]).toEqual([["steps", "Long"]]);
    expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(expected.values).sort());
    for (const [key, values] of Object.entries(expected.values)) {
      expect(checkpoint.tensors.get(key)?.shape, key).toEqual(expected.shapes[key]);
      expect([...(await checkpoint.readFloat32(key))], key).toEqual(values.map(Math.fround));
    }
  });

  test.each([
    ["harm.bin", /names builtins\.print|names __builtin__\.print/],
    ["more.bin", /holds more than tensors \(epoch\)\. Save the state_dict alone/],
    ["strided.bin", /strided is a view with strides 4, 2\. Save it from Python with \.contiguous\(\)/],
    ["legacy.bin", /older than PyTorch 1\.6/],
    ["compressed.bin", /is a compressed zip; PyTorch does not compress/],
    ["values.json", /is no file of PyTorch that can be read/],
  ])("%s is refused with what is wrong", async (name, message) => {
    await expect(openTorchFile(file(name))).rejects.toThrow(message);
    await expect(openTorchFile(file(name))).rejects.toThrow(InputError);
  });
});
