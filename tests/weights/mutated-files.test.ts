import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { InputError } from "../../src/errors.js";
import { type ByteSource, memorySource } from "../../src/weights/byte-source.js";
import type { Checkpoint } from "../../src/weights/checkpoint.js";
import { readGguf } from "../../src/weights/gguf.js";
import { readSafetensors } from "../../src/weights/safetensors.js";
import { ggufPath } from "../support/gguf-golden.js";
import { goldenFolder } from "./golden.js";

/** A small generator of its own, so that a failure names a seed that repeats it. */
function randomFrom(seed: number): (below: number) => number {
  let state = Math.imul(seed, 0x9e3779b1);
  return (below) => {
    state = (Math.imul(state ^ (state >>> 16), 0x45d9f3b) + 0x6d2b79f5) | 0;
    const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
    return ((mixed ^ (mixed >>> 13)) >>> 0) % below;
  };
}

/** Damages the first `region` bytes of a copy in one to four places, or cuts the copy short. */
function mutate(original: Uint8Array, region: number, random: (below: number) => number): Uint8Array {
  let bytes = original.slice();
  for (let changes = 1 + random(4); changes > 0; changes--) {
    const at = random(Math.min(region, bytes.length));
    switch (random(6)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
        break;
      case 2: // a count or an offset that is far too large
        bytes.fill(0xff, at, at + 1 + random(8));
        break;
      case 3:
        bytes.fill(0, at, at + 1 + random(8));
        break;
      case 4:
        bytes.copyWithin(at, random(region), random(region));
        break;
      default:
        bytes = bytes.slice(0, 1 + random(bytes.length));
    }
  }
  return bytes;
}

async function readEverything(checkpoint: Checkpoint): Promise<void> {
  for (const name of checkpoint.tensors.keys()) await checkpoint.readFloat32(name);
}

/** A damaged file is read (the damage was in the values), or refused with an InputError; nothing else happens. */
async function survive(file: string, region: number, cases: number, read: (source: ByteSource) => Promise<void>): Promise<number> {
  const original = new Uint8Array(readFileSync(file));
  let refused = 0;
  for (let seed = 1; seed <= cases; seed++) {
    const bytes = mutate(original, region, randomFrom(seed));
    try {
      await read(memorySource("mutated", bytes));
    } catch (error) {
      if (!(error instanceof InputError)) throw new Error(`seed ${seed}: not an InputError`, { cause: error });
      refused++;
    }
  }
  return refused;
}

describe("files with damage in random places", () => {
  it("GGUF", async () => {
    const refused = await survive(`${goldenFolder}/tiny-llama.gguf`, 3000, 400, async (source) => {
      const { checkpoint } = await readGguf(source);
      await readEverything(checkpoint);
    });
    expect(refused).toBeGreaterThan(200);
  }, 20_000);

  it.each(["gemma3", "phi3-long", "gpt2-quantised"])(
    "GGUF of %s",
    async (name) => {
      const refused = await survive(ggufPath(name), 6000, 200, async (source) => {
        await readEverything((await readGguf(source)).checkpoint);
      });
      expect(refused).toBeGreaterThan(100);
    },
    20_000,
  );

  it.each(["model-00001-of-00002", "model-00002-of-00002"])(
    "safetensors %s",
    async (name) => {
      const refused = await survive(`${goldenFolder}/sharded/${name}.safetensors`, 260, 400, async (source) => {
        await readEverything(await readSafetensors([source]));
      });
      expect(refused).toBeGreaterThan(300);
    },
    20_000,
  );
});
