import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InputError } from "../../src/errors.js";
import { memorySource } from "../../src/weights/byte-source.js";
import { openSafetensorsFile, openSafetensorsFolder } from "../../src/weights/node/open-checkpoint.js";
import { writeSafetensors } from "../../src/weights/node/write-safetensors.js";
import { encodeSafetensorsHeader, readSafetensors, readSafetensorsHeader } from "../../src/weights/safetensors.js";
import { concat, u64 } from "./gguf-bytes.js";
import { bits, floats, golden, goldenFolder } from "./golden.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lorikeet-safetensors-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A file with this header text and this much data. */
function file(header: string | Uint8Array, dataBytes: number, name = "damaged.safetensors") {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  return memorySource(name, concat([u64(json.length), json, new Uint8Array(dataBytes)]));
}

const entry = (dtype: string, shape: unknown, begin: number, end: number) => JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

describe("reading safetensors", () => {
  it("reads the shards that Python wrote, in F32, F16 and BF16", async () => {
    const checkpoint = await openSafetensorsFolder(join(goldenFolder, "sharded"));
    expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(golden.shards).sort());
    for (const [name, { shape, values }] of Object.entries(golden.shards)) {
      expect(checkpoint.tensors.get(name)?.shape).toEqual(shape);
      expect(bits(await checkpoint.readFloat32(name))).toEqual(bits(floats(values)));
    }
  });

  it("lists tensors of other types and says so when one is asked for", async () => {
    const checkpoint = await openSafetensorsFolder(join(goldenFolder, "sharded"));
    expect([...checkpoint.unreadable]).toEqual([["f.positions", "I64"]]);
    await expect(checkpoint.readFloat32("f.positions")).rejects.toThrow("stored as I64");
    await expect(checkpoint.readFloat32("g.weight")).rejects.toThrow("has no tensor g.weight. It has 5, such as");
  });

  it("reads its own files, follows symbolic links, and keeps metadata", async () => {
    const path = join(folder, "own.safetensors");
    const values = Float32Array.from({ length: 12 }, (_, i) => i / 7 - 1);
    await writeSafetensors(path, [
      { name: "x", dtype: "F32", shape: [3, 4], data: () => values },
      {
        name: "y",
        dtype: "F32",
        shape: [12],
        data: async function* () {
          yield values.subarray(0, 5);
          yield values.subarray(5);
        },
      },
      { name: "h", dtype: "F16", shape: [1], data: async () => new Uint16Array([0x3c00]) },
    ]);
    await symlink("own.safetensors", join(folder, "link.safetensors"));
    const checkpoint = await openSafetensorsFile(join(folder, "link.safetensors"));
    expect(await checkpoint.readFloat32("x")).toEqual(values);
    expect(await checkpoint.readFloat32("y")).toEqual(values);
    expect(await checkpoint.readFloat32("h")).toEqual(Float32Array.of(1));
    const header = await readSafetensorsHeader(memorySource("own", await readFile(path)));
    expect(header.metadata).toEqual({ format: "pt" });
    expect(header.tensors[0]?.offset).toBe(64 * Math.ceil((header.tensors[0]?.offset ?? 0) / 64)); // mappable in place
  });

  it("refuses a writer that gives too few bytes, and leaves nothing", async () => {
    const path = join(folder, "short.safetensors");
    await expect(writeSafetensors(path, [{ name: "x", dtype: "F32", shape: [4], data: () => new Float32Array(3) }])).rejects.toThrow(
      "Tensor x: 12 bytes were given for a shape of 16",
    );
    await expect(readFile(path)).rejects.toThrow("ENOENT");
    expect(() => encodeSafetensorsHeader([1, 2].map(() => ({ name: "x", dtype: "F32" as const, shape: [1] })))).toThrow("Two tensors");
  });
});

describe("damaged safetensors", () => {
  const cases: [string, Parameters<typeof readSafetensorsHeader>[0], string][] = [
    ["empty", memorySource("f", new Uint8Array(0)), "it has 0 bytes"],
    [
      "absurd header length",
      memorySource("f", concat([u64(2n ** 63n), new Uint8Array(8)])),
      "its header would be 9223372036854775808 bytes",
    ],
    [
      "header longer than the file",
      memorySource("f", concat([u64(100), new Uint8Array(8)])),
      "its header would be 100 bytes, but the file has 16",
    ],
    ["not UTF-8", file(new Uint8Array([0x7b, 0xff, 0x7d]), 0), "not UTF-8"],
    ["not JSON", file("{", 0), "not JSON"],
    ["not an object", file("[]", 0), "not a JSON object"],
    ["a name twice", file(`{"a":${entry("F32", [1], 0, 4)},"\\u0061":${entry("F32", [1], 4, 8)}}`, 8), 'names "a" twice'],
    ["unknown type", file(`{"a":${entry("Q4", [1], 0, 4)}}`, 4), 'its type "Q4" is unknown'],
    ["inherited name as type", file(`{"a":${entry("toString", [1], 0, 4)}}`, 4), "is unknown"],
    ["negative dimension", file(`{"a":${entry("F32", [-1], 0, 4)}}`, 4), "its shape [-1] is beyond reason"],
    ["fractional dimension", file(`{"a":${entry("F32", [1.5], 0, 6)}}`, 6), "is beyond reason"],
    ["absurd shape", file(`{"a":${entry("F32", [1e9, 1e9], 0, 4)}}`, 4), "is beyond reason"],
    ["shape of strings", file(`{"a":${entry("F32", ["1"], 0, 4)}}`, 4), "must be a list of at most 8 numbers"],
    ["wrong byte length", file(`{"a":${entry("F32", [2], 0, 4)}}`, 4), "needs 8 bytes, 4 are given"],
    ["cut short", file(`{"a":${entry("F32", [4], 0, 16)}}`, 12), "its data would be bytes 0 to 16 of 12"],
    ["reversed offsets", file(`{"a":${entry("F32", [1], 4, 0)}}`, 4), "its data would be bytes 4 to 0"],
    ["overlap", file(`{"a":${entry("F32", [2], 0, 8)},"b":${entry("F32", [2], 4, 12)}}`, 12), 'the data of "b" overlaps that of "a"'],
    ["a gap", file(`{"a":${entry("F32", [1], 0, 4)},"b":${entry("F32", [1], 8, 12)}}`, 12), "4 bytes between"],
    ["bytes left over", file(`{"a":${entry("F32", [1], 0, 4)}}`, 9), "5 bytes after the last tensor"],
    ["entry is no object", file(`{"a":3}`, 0), "its entry is not an object"],
    ["metadata of numbers", file(`{"__metadata__":{"a":1}}`, 0), "is not a string"],
  ];
  it.each(cases)("%s", async (_, source, message) => {
    const failure = await readSafetensorsHeader(source).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    expect((failure as Error).message).toContain(message);
  });

  it("refuses one tensor in two shards", async () => {
    const shard = (name: string) => file(`{"a":${entry("F32", [1], 0, 4)}}`, 4, name);
    await expect(readSafetensors([shard("one"), shard("two")])).rejects.toThrow("Tensor a is in two files: one and two");
  });

  it("refuses an index that reaches out of its folder, or names what is not there", async () => {
    const index = join(folder, "model.safetensors.index.json");
    for (const [text, message] of [
      [`{"weight_map":{"a":"../secret.safetensors"}}`, "not the name of a safetensors file beside it"],
      [`{"weight_map":{"a":"gone.safetensors"}}`, "cannot be read"],
      [`{"weight_map":{"zz":"own.safetensors"}}`, "1 tensors are in none of the shards, such as zz"],
      [`{"weight_map":{}}`, "lists no tensors"],
      ["{}", "has no weight_map"],
      ["not json", "is not JSON"],
    ]) {
      await writeFile(index, text ?? "");
      const failure = await openSafetensorsFolder(folder).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(InputError);
      expect((failure as Error).message).toContain(message);
    }
    await rm(index);
    await expect(openSafetensorsFolder(folder)).rejects.toThrow("neither model.safetensors nor model.safetensors.index.json");
  });
});
