import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { InputError } from "../../src/errors.js";
import type { LanguageModelGraph } from "../../src/models/architecture.js";
import { askingPrecision, trainingPrecision } from "../../src/workflows/node/device.js";
import { int8Support } from "../../src/workflows/node/int8-support.js";
import { runWith } from "../cli/support.js";

let root: string;
let cache: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "lorikeet-precision-"));
  cache = join(root, "not-there-yet");
  vi.stubEnv("LORIKEET_CACHE", cache);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

const machineFile = () => join(cache, "machine.json");
const model = (hidden: number) => ({ dimensions: { hidden } }) as LanguageModelGraph;
const auto = { precision: "auto", device: "auto", threads: undefined } as const;

/** Lets the cache say of this very machine what a test wants. */
async function remember(support: { exact: boolean; speedup: number }): Promise<void> {
  await int8Support(undefined);
  const { machine } = JSON.parse(await readFile(machineFile(), "utf8"));
  await writeFile(machineFile(), JSON.stringify({ machine, ...support }));
}

describe("what int8 does on a machine", () => {
  test("is measured once and remembered, until the processor, the engine or the threads are others, or the file is no more readable", async () => {
    const { exact, speedup } = await int8Support(undefined);
    expect(typeof exact).toBe("boolean");
    expect(speedup).toBeGreaterThan(0);
    const saved = JSON.parse(await readFile(machineFile(), "utf8"));
    expect(saved).toEqual({ machine: expect.stringMatching(/ × \d+, onnxruntime-node /), exact, speedup });
    await remember({ exact: !exact, speedup: 123 });
    expect(await int8Support(undefined)).toMatchObject({ exact: !exact, speedup: 123 });
    // Measured anew: no machine is 123 times as fast.
    expect((await int8Support(1)).speedup).toBeLessThan(100);
    await writeFile(machineFile(), JSON.stringify({ ...saved, machine: `another, ${saved.machine}`, speedup: 123 }));
    expect((await int8Support(undefined)).speedup).toBeLessThan(100);
    await writeFile(machineFile(), "{");
    expect((await int8Support(undefined)).speedup).toBeLessThan(100);
    expect(JSON.parse(await readFile(machineFile(), "utf8"))).toHaveProperty("speedup");
  });
});

describe("auto", () => {
  test.each([
    ["right and faster", { exact: true, speedup: 1.5 }, 256, "auto", "int8"],
    ["the processor by name", { exact: true, speedup: 1.5 }, 256, "cpu", "int8"],
    ["a narrower model", { exact: true, speedup: 1.5 }, 248, "auto", "fp32"],
    ["not right", { exact: false, speedup: 1.5 }, 256, "auto", "fp32"],
    ["hardly faster", { exact: true, speedup: 1.25 }, 256, "auto", "fp32"],
    ["a graphics card", { exact: true, speedup: 1.5 }, 256, "webgpu", "fp32"],
  ] as const)("%s: trains in the precision that pays, and answers in fp32", async (_, support, hidden, device, precision) => {
    await remember(support);
    expect(await trainingPrecision({ ...auto, device }, model(hidden))).toBe(precision);
    expect(await askingPrecision({ ...auto, device })).toBe("fp32");
  });
});

describe("a precision by name", () => {
  test("is taken as it is, whatever the model and however slow", async () => {
    await remember({ exact: true, speedup: 0.5 });
    for (const precision of ["fp32", "int8"] as const) {
      expect(await trainingPrecision({ ...auto, precision }, model(8))).toBe(precision);
      expect(await askingPrecision({ ...auto, precision })).toBe(precision);
    }
    expect(await askingPrecision({ ...auto, precision: "fp32", device: "webgpu" })).toBe("fp32");
  });

  test.each([
    [
      "on a graphics card",
      { exact: true, speedup: 2 },
      "webgpu",
      "runs on the processor alone. Leave out --device, or take --precision fp32.",
    ],
    ["where 8-bit sums are cut short", { exact: false, speedup: 2 }, "auto", "cuts sums of 8-bit products short"],
  ] as const)("int8 %s is a mistake of the input, told with exit code 2", async (_, support, device, message) => {
    await remember(support);
    for (const choose of [
      () => trainingPrecision({ ...auto, precision: "int8", device }, model(512)),
      () => askingPrecision({ ...auto, precision: "int8", device }),
    ]) {
      const error: unknown = await choose().catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(InputError);
      expect(String(error)).toContain(message);
      const argv = ["plan", "--model", "m", "--precision", "int8", "--device", device];
      const { code, out, err } = await runWith(argv, { plan: () => Promise.reject(error) });
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toContain(message);
    }
  });
});
