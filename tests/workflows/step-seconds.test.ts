import { expect, test, vi } from "vitest";
import { bestProductSpeed, int8Support } from "../../src/workflows/node/int8-support.js";
import { secondsOf } from "../../src/workflows/node/step-seconds.js";
import { temporaryFolder } from "./support.js";

const costs = { flops: 1000e9, int8Flops: 0, copiedBytes: 1e9, writtenBytes: 0 };

test("float32: products at their own speed; copies are not unpacked", () => {
  expect(secondsOf(costs, { flops: 250e9, speedup: 1, unpacks: false })).toBeCloseTo(1000 / 250, 10);
});

test("int8: faster for the products that are, with their rounding", () => {
  const seconds = secondsOf({ ...costs, int8Flops: 800e9 }, { flops: 250e9, speedup: 2, unpacks: false });
  expect(seconds).toBeCloseTo(200 / 250 + 800 / 500 / 0.9, 10);
});

test("4bit: each time that a weight is read, it is unpacked", () => {
  expect(secondsOf(costs, { flops: 250e9, speedup: 1, unpacks: true })).toBeCloseTo((1000 + 95) / 250, 10);
});

test("between products, time goes by the bytes that are written, however fast the products are", () => {
  const written = (flops: number) => secondsOf({ ...costs, flops: 0, writtenBytes: 14e9 }, { flops, speedup: 1, unpacks: false });
  expect([written(250e9), written(500e9)]).toEqual([2, 2]);
});

// Seconds of steps of SmolLM2-135M (rank 16, all layers), measured beside products in float32 of this speed, this many times as
// fast in int8, and what the plan counts for them: billions of operations, and of bytes.
test.each([
  { step: "4 × 256, fp32", speed: 250, flops: 627, int8: 0, written: 6.0, copied: 0, speedup: 1, measured: 3.06 },
  { step: "4 × 256, fp32, checkpoints", speed: 250, flops: 813, int8: 0, written: 7.6, copied: 0, speedup: 1, measured: 3.94 },
  { step: "8 × 128, fp32", speed: 250, flops: 611, int8: 0, written: 5.9, copied: 0, speedup: 1, measured: 2.97 },
  { step: "4 × 256, int8", speed: 250, flops: 627, int8: 550, written: 6.0, copied: 0, speedup: 2.44, measured: 2.03 },
  { step: "8 × 128, int8", speed: 250, flops: 611, int8: 550, written: 5.9, copied: 0, speedup: 2.44, measured: 1.92 },
  // A thousand tokens of the demo's conversations, and of texts of up to 512 tokens, in whole runs of the command.
  { step: "demo, fp32", speed: 271, flops: 494, int8: 0, written: 5.79, copied: 0, speedup: 1, measured: 2.79 },
  { step: "demo, int8", speed: 271, flops: 494, int8: 448, written: 5.79, copied: 0, speedup: 2.81, measured: 1.95 },
  { step: "demo, int8, checkpoints", speed: 271, flops: 666, int8: 606, written: 7.41, copied: 0, speedup: 2.81, measured: 2.34 },
  { step: "demo, 4bit", speed: 271, flops: 494, int8: 0, written: 5.79, copied: 2.3, speedup: 1, measured: 3.64 },
  { step: "texts, fp32, checkpoints", speed: 271, flops: 789, int8: 0, written: 7.63, copied: 0, speedup: 1, measured: 4.15 },
  { step: "texts, int8", speed: 271, flops: 608, int8: 556, written: 5.97, copied: 0, speedup: 2.81, measured: 2.19 },
  { step: "texts, 4bit, checkpoints", speed: 271, flops: 789, int8: 0, written: 7.63, copied: 2.7, speedup: 1, measured: 5.35 },
])("$step: within a quarter of a measured step", ({ speed, flops, int8, written, copied, speedup, measured }) => {
  const counted = { flops: flops * 1e9, int8Flops: int8 * 1e9, copiedBytes: copied * 1e9, writtenBytes: written * 1e9 };
  const seconds = secondsOf(counted, { flops: speed * 1e9, speedup, unpacks: copied > 0 });
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
