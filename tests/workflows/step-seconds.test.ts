import { expect, test, vi } from "vitest";
import { bestProductSpeed, int8Support } from "../../src/workflows/node/int8-support.js";
import { secondsOf } from "../../src/workflows/node/step-seconds.js";
import { temporaryFolder } from "./support.js";

const costs = { flops: 1000e9, int8Flops: 0, copiedBytes: 1e9 };

test("float32: products alone, at four fifths of a bare product's speed; copies are not unpacked", () => {
  expect(secondsOf(costs, { flops: 250e9, speedup: 1, unpacks: false })).toBeCloseTo(1000 / 250 / 0.81, 10);
});

test("int8: faster for the products that are, and less of it in a step", () => {
  const seconds = secondsOf({ ...costs, int8Flops: 800e9 }, { flops: 250e9, speedup: 2, unpacks: false });
  expect(seconds).toBeCloseTo(200 / 250 / 0.81 + 800 / 500 / 0.54, 10);
});

test("4bit: each time that a weight is read, it is unpacked", () => {
  expect(secondsOf(costs, { flops: 250e9, speedup: 1, unpacks: true })).toBeCloseTo((1000 + 87) / 250 / 0.81, 10);
});

// Seconds of steps of SmolLM2-135M (rank 16, all layers), measured beside products of 250 GFLOP/s in float32, 2.44 times as
// fast in int8, and the operations that the plan counts for them.
test.each([
  { batch: "4 × 256, fp32", gigaflops: 627, int8: 0, speedup: 1, measured: 3.06 },
  { batch: "4 × 256, fp32, checkpoints", gigaflops: 813, int8: 0, speedup: 1, measured: 3.94 },
  { batch: "8 × 128, fp32", gigaflops: 611, int8: 0, speedup: 1, measured: 2.97 },
  { batch: "4 × 256, int8", gigaflops: 627, int8: 550, speedup: 2.44, measured: 2.03 },
  { batch: "8 × 128, int8", gigaflops: 611, int8: 550, speedup: 2.44, measured: 1.92 },
])("$batch: within a quarter of a measured step", ({ gigaflops, int8, speedup, measured }) => {
  const seconds = secondsOf({ flops: gigaflops * 1e9, int8Flops: int8 * 1e9, copiedBytes: 0 }, { flops: 250e9, speedup, unpacks: false });
  expect(Math.abs(seconds / measured - 1)).toBeLessThan(0.25);
});

test("of the speeds that were measured on a machine the best is remembered, beside what is known of int8", async () => {
  vi.stubEnv("LORIKEET_CACHE", await temporaryFolder());
  const measured = (flops: number) => bestProductSpeed(1, () => Promise.resolve(flops));
  expect([await measured(5e9), await measured(3e9), await measured(7e9), await measured(6e9)]).toEqual([5e9, 5e9, 7e9, 7e9]);
  const { exact, speedup } = await int8Support(1);
  expect(await int8Support(1)).toMatchObject({ exact, speedup });
  expect(await bestProductSpeed(2, () => Promise.resolve(1e9))).toBe(1e9); // another number of threads is another machine
  vi.unstubAllEnvs();
});
