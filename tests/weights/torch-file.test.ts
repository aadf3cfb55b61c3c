import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { openTorchFile } from "../../src/weights/node/open-torch-file.js";
import { golden, goldenPath } from "../support/golden.js";

// The files are PyTorch's (tests/golden/torch_files.py), and so are the values.
const file = (name: string) => goldenPath(`torch/${name}`);
const expected = golden<{ values: Record<string, number[]>; shapes: Record<string, number[]> }>("torch/values.json");

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

describe("damaged files", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lorikeet-torch-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("give values, or an error in words", async () => {
    const whole = await readFile(file("tensors.bin"));
    const path = join(folder, "damaged.bin");
    const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });
    const damage = fc.record({
      changes: fc.array(change, { maxLength: 8 }),
      length: fc.oneof(fc.constant(whole.length), fc.nat(whole.length)),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ changes, length }) => {
        const bytes = Uint8Array.from(whole);
        for (const { at, byte } of changes) bytes[at] = byte;
        await writeFile(path, bytes.subarray(0, length));
        try {
          const checkpoint = await openTorchFile(path);
          for (const name of checkpoint.tensors.keys()) await checkpoint.readFloat32(name);
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });
});
